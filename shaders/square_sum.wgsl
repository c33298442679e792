// partials[slot] = sums of squares of parts of x. A workgroup has elements that lie behind one another.

struct Params { vec4s: u32, slot: u32 }

const PARTIALS: u32 = 256u;

@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let workgroups = PARTIALS / $LANESu;
  let length = (params.vec4s + workgroups - 1u) / workgroups;
  let end = min((workgroup.x + 1u) * length, params.vec4s);
  var sum = 0.0;
  for (var i = workgroup.x * length + lane; i < end; i += $LANESu) {
    let v = x[i];
    sum += dot(v, v);
  }
  partials[params.slot * PARTIALS + workgroup.x * $LANESu + lane] = sum;
}
