// partials[slot] and the rows after it = 256 partial sums each of the squares of x. $TOGETHER adjacent threads share a run of vec4s, which
// they take alternately. The partition is the same on every device. A thread sums each block of its vec4s on its own.

struct Params$ { vec4s: u32, slot: u32, slots: u32 }

const PARTIALS$: u32 = 256u;

@group(0) @binding(x$) var<storage, read> x$: array<vec4<f32>>; // any shape
@group(0) @binding(partials$) var<storage, read_write> partials$: array<f32>; // (slots×256)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let part = workgroup_id.x * $WORKGROUP_SIZEu + local_invocation_index;
  let runs = params$.slots * PARTIALS$ / $TOGETHERu;
  let length = (params$.vec4s + runs - 1u) / runs;
  let run = part / $TOGETHERu;
  let end = min((run + 1u) * length, params$.vec4s);
  var sum = 0.0;
  for (var block = run * length + part % $TOGETHERu; block < end; block += $BLOCKu) {
    var of_block = 0.0;
    for (var i = block; i < min(block + $BLOCKu, end); i += $TOGETHERu) {
      let v = x$[i];
      of_block = multiply_add(v, v, of_block);
    }
    sum += of_block;
  }
  partials$[params$.slot * PARTIALS$ + part] = sum;
}
