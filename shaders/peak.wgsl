// Measures the peak arithmetic throughput of the adapter: only multiply-adds, in four chains of vec4 per thread. In every iteration each
// chain depends on another one, so no compiler can serialise the chains, which would expose their latency. The values stay bounded.

struct Params { rounds: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let start = f32(id.x) * 1e-6;
  let up = vec4(0.001 + start * 1e-3);
  let down = -up;
#for i in 0..4
  var sum$i = vec4(start + $i.0);
#end
  for (var round = 0u; round < params.rounds; round++) {
#for i in 0..$UNROLL
    let near$i_0 = fma(sum1, down, sum0);
    let near$i_1 = fma(sum0, up, sum1);
    let near$i_2 = fma(sum3, down, sum2);
    let near$i_3 = fma(sum2, up, sum3);
    sum0 = fma(near$i_2, down, near$i_0);
    sum2 = fma(near$i_0, up, near$i_2);
    sum1 = fma(near$i_3, down, near$i_1);
    sum3 = fma(near$i_1, up, near$i_3);
#end
  }
  out[id.x] = sum0 + sum1 + sum2 + sum3;
}
