// partials[slot] = sums of squares of parts of x. The parts are the same whatever the device.

struct Params { vec4s: u32, slot: u32 }

const PARTIALS: u32 = 256u;

@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var sum = 0.0;
  for (var i = id.x; i < params.vec4s; i += PARTIALS) {
    let v = x[i];
    sum += dot(v, v);
  }
  partials[params.slot * PARTIALS + id.x] = sum;
}
