// Nothing but multiply-adds, to learn how many a second the adapter can do: 16 chains of vec4 for each thread.

struct Params { rounds: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let start = f32(id.x) * 1e-6;
  let factor = vec4(0.999 + start);
#for i in 0..16
  var sum$i = vec4(start + $i.0);
#end
  for (var round = 0u; round < params.rounds; round++) {
#for i in 0..16
    sum$i = fma(sum$i, factor, vec4(0.001));
#end
  }
  var total = vec4(0.0);
#for i in 0..16
  total += sum$i;
#end
  out[id.x] = total;
}
