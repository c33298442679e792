// partials[slot] = 256 partial sums of the squares of x. Eight adjacent threads share a run of vec4s, which they take alternately. The
// partition is the same on every device.

struct Params$ { vec4s: u32, slot: u32 }

const PARTIALS$: u32 = 256u;
const TOGETHER$: u32 = 8u;

@group(0) @binding(x$) var<storage, read> x$: array<vec4<f32>>; // any shape
@group(0) @binding(partials$) var<storage, read_write> partials$: array<f32>; // (slots×256)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let part = workgroup_id.x * $WORKGROUP_SIZEu + local_invocation_index;
  let runs = PARTIALS$ / TOGETHER$;
  let length = (params$.vec4s + runs - 1u) / runs;
  let run = part / TOGETHER$;
  let end = min((run + 1u) * length, params$.vec4s);
  var sum = 0.0;
  for (var i = run * length + part % TOGETHER$; i < end; i += TOGETHER$) {
    let v = x$[i];
    sum += dot(v, v);
  }
  partials$[params$.slot * PARTIALS$ + part] = sum;
}
