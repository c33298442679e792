// d_weight[n, k] += sum over tokens of d_out[i, n] · x[i, k], from the last token to the first. A thread owns $VEC4S · 4
// rows of four columns. It goes on from what d_weight holds, so a chunk's border is a store and a load and no more.

struct Params { in_vec4s: u32, out_vec4s: u32, d_out_absolute: u32, x_absolute: u32 }

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_weight: array<vec4<f32>>;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let k = workgroup.x * 32u + lane;
  if k >= params.in_vec4s { return; }
  let first = workgroup.y * $VEC4Su;
  let d_out_row = first_row(params.d_out_absolute);
  let x_row = first_row(params.x_absolute);
#for j in 0..$VEC4S
  let n$j = min(first + $ju, params.out_vec4s - 1u);
#for c in 0..4
  let at$j_$c = (4u * n$j + $cu) * params.in_vec4s + k;
  var sum$j_$c = d_weight[at$j_$c];
#end
#end
  for (var tile = (chunk.count + TOKEN_TILE - 1u) / TOKEN_TILE; tile > 0u; tile--) {
    // Always a whole tile, so that the loop is the same code for every tile; what lies behind the end counts as zero.
    for (var i = 1u; i <= TOKEN_TILE; i++) {
      let token = tile * TOKEN_TILE - i;
      let row = min(token, chunk.count - 1u);
      let b = select(vec4(0.0), x[(x_row + row) * params.in_vec4s + k], token < chunk.count);
      let d_out_start = (d_out_row + row) * params.out_vec4s;
#for j in 0..$VEC4S
      let a$j = d_out[d_out_start + n$j];
#for c in 0..4
      sum$j_$c = fma(vec4(a$j[$cu]), b, sum$j_$c);
#end
#end
    }
  }
#for j in 0..$VEC4S
  if first + $ju < params.out_vec4s {
#for c in 0..4
    d_weight[at$j_$c] = sum$j_$c;
#end
  }
#end
}
