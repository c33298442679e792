// d_weight[n, k] += sum over tokens of d_out[i, n] · x[i, k], from the last token to the first. A thread owns $VEC4S · 4
// rows of four columns, of those that are at work. It goes on from what d_weight holds, so a chunk's border is a store and a load and no more.

struct Params { in_vec4s: u32, out_vec4s: u32, vec4s: u32, first_row: u32, first_col_vec4: u32, d_out_period: u32, x_period: u32 }

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_weight: array<vec4<f32>>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first_col = workgroup.x * $COLSu * $LANESu + lane;
  let first_row_vec4 = workgroup.y * $VEC4Su;
  if first_col >= params.in_vec4s { return; }
  let d_out_row = first_row(params.d_out_period);
  let x_row = first_row(params.x_period);
#for k in 0..$COLS
  let col$k = min(first_col + $ku * $LANESu, params.in_vec4s - 1u);
#end
#for j in 0..$VEC4S
  let n$j = min(first_row_vec4 + $ju, params.vec4s - 1u);
#for c in 0..4
  let at$j_$c = (params.first_row + 4u * n$j + $cu) * params.in_vec4s;
#for k in 0..$COLS
  var sum$j_$c_$k = d_weight[at$j_$c + col$k];
#end
#end
#end
  for (var tile = (chunk.count + TOKEN_TILE - 1u) / TOKEN_TILE; tile > 0u; tile--) {
    // Always a whole tile, so that the loop is the same code for every tile; what lies behind the end counts as zero.
    for (var i = 1u; i <= TOKEN_TILE; i++) {
      let token = tile * TOKEN_TILE - i;
      let row = min(token, chunk.count - 1u);
      let x_start = (x_row + row) * params.in_vec4s;
      let d_out_start = (d_out_row + row) * params.out_vec4s + params.first_col_vec4;
#for k in 0..$COLS
      let b$k = select(vec4(0.0), x[x_start + col$k], token < chunk.count);
#end
#for j in 0..$VEC4S
      let a$j = d_out[d_out_start + n$j];
#for c in 0..4
#for k in 0..$COLS
      sum$j_$c_$k = fma(vec4(a$j[$cu]), b$k, sum$j_$c_$k);
#end
#end
#end
    }
  }
#for j in 0..$VEC4S
#for k in 0..$COLS
  if first_row_vec4 + $ju < params.vec4s && first_col + $ku * $LANESu < params.in_vec4s {
#for c in 0..4
    d_weight[at$j_$c + col$k] = sum$j_$c_$k;
#end
  }
#end
#end
}
