// Measures the memory bandwidth of the adapter: only loads and stores, which copy the first half of a buffer to the second.

struct Params { rounds: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

const THREADS: u32 = 65536u;
const ROUNDS: u32 = 32u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  for (var round = 0u; round < params.rounds; round++) {
    let at = round % ROUNDS * THREADS + id.x;
    out[ROUNDS * THREADS + at] = out[at];
  }
}
