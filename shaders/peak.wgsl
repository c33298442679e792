// Nothing but multiply-adds, to learn how many a second the adapter can do: $CHAINS chains of vec4 for each thread, each $LINKS long in a round.

struct Params { rounds: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let start = f32(id.x) * 1e-6;
  let factor = vec4(0.999 + start);
#for i in 0..$CHAINS
  var sum$i = vec4(start + $i.0);
#end
  for (var round = 0u; round < params.rounds; round++) {
#for link in 0..$LINKS
#for i in 0..$CHAINS
    sum$i = fma(sum$i, factor, vec4(0.001));
#end
#end
  }
  var total = vec4(0.0);
#for i in 0..$CHAINS
  total += sum$i;
#end
  out[id.x] = total;
}
