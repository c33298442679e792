// d_weight[n, k] += sum over tokens of d_out[i, n] · x[i, k], from the last token to the first. A thread owns $GROUPS · $QUADS groups of
// four rows of $COLS groups of four columns, within the slice. Threads share operands as in linear.wgsl. Each tile of tokens is summed on its
// own and then added to d_weight, so a chunk boundary is only one of these additions.
#include linear_weight_grad_operands

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let first_col = workgroup_id.x * $COLSu * $COL_THREADSu;
  let first = workgroup_id.y * $GROUPSu * $QUADSu * $ROW_THREADSu;
  let d_out_row = first_row(params$.d_out_row_modulus);
  let x_row = first_row(params$.x_row_modulus);
#for k in 0..$COLS
  // Threads past the last row or column repeat the last one and do not store it.
  let wanted_col$k = first_col + $ku * $COL_THREADSu + local_invocation_index % $COL_THREADSu;
  let col$k = min(wanted_col$k, params$.in_vec4s - 1u);
#end
#for g in 0..$GROUPS
#if SUBGROUP
  let mine$g = min(first + $gu * $QUADSu + subgroup_invocation_id, params$.vec4s - 1u);
#end
#for q in 0..$QUADS
  let wanted$g_$q = first + ($gu * $QUADSu + $qu) * $ROW_THREADSu + local_invocation_index / $COL_THREADSu;
  let n$g_$q = min(wanted$g_$q, params$.vec4s - 1u);
#for c in 0..4
  let at$g_$q_$c = (params$.first_row + 4u * n$g_$q + $cu) * params$.in_vec4s;
//: load
#for k in 0..$COLS
  var total$g_$q_$c_$k = floats(d_weight$[at$g_$q_$c + col$k]);
#end
//:
#end
#end
#end
  for (var tile = tiles_with_work(labelled_only$, token_tiles()); tile > 0u; tile = tiles_with_work(labelled_only$, tile - 1u)) {
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for c in 0..4
#for k in 0..$COLS
    var sum$g_$q_$c_$k = vec4(0.0);
#end
#end
#end
#end
    // Always a whole tile, so that every tile runs the same code; tokens past the end count as zero.
    for (var i = 1u; i <= TOKEN_TILE; i += $UNROLLu) {
#for u in 0..$UNROLL
      let token$u = tile * TOKEN_TILE - i - $uu;
      let row$u = min(token$u, chunk.count - 1u);
      let x_start$u = (x_row + row$u) * params$.in_vec4s;
      let d_out_start$u = (d_out_row + row$u) * params$.out_vec4s + params$.first_col_vec4;
//: load
#for k in 0..$COLS
      let b$u_$k = select(vec4(0.0), load_x$(x_start$u + col$k), token$u < chunk.count);
#end
#if SUBGROUP
#for g in 0..$GROUPS
      let of_mine$u_$g = load_d_out$(d_out_start$u + mine$g);
#end
#end
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for u in 0..$UNROLL
#if SUBGROUP
      let a$u_$g_$q = subgroupBroadcast(of_mine$u_$g, $qu);
#end
#if DIRECT
      let a$u_$g_$q = load_d_out$(d_out_start$u + n$g_$q);
#end
#end
//: multiply
#for c in 0..4
#for k in 0..$COLS
#for u in 0..$UNROLL
      sum$g_$q_$c_$k = fma(vec4(a$u_$g_$q[$cu]), b$u_$k, sum$g_$q_$c_$k);
#end
#end
#end
#end
//:
#end
    }
//: reduce
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for c in 0..4
#for k in 0..$COLS
    total$g_$q_$c_$k += sum$g_$q_$c_$k;
#end
#end
#end
#end
//:
  }
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for k in 0..$COLS
//: store
  if wanted$g_$q < params$.vec4s && wanted_col$k < params$.in_vec4s {
#for c in 0..4
    d_weight$[at$g_$q_$c + col$k] = quad(total$g_$q_$c_$k);
#end
  }
//:
#end
#end
#end
}
