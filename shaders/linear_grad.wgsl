// d_x[i, k] (+)= scale · sum over n of d_out[i, n] · weight[n, k]. A thread has $TOKENS tokens and $GROUPS · $QUADS groups of four columns.
// Threads share weights, and the slice of the matrix is defined, as in linear.wgsl. Every block of rows is summed on its own and then added
// to d_x, so the result does not depend on where the matrix is split between blocks.
#include linear_grad_operands

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  if is_left_out(labelled_only$, workgroup_id.x * TOKEN_TILE) { return; }
  let d_out_row = first_row(params$.d_out_row_modulus);
  let d_x_row = first_row(params$.d_x_row_modulus);
#for t in 0..$TOKENS
  let token$t = workgroup_id.x * TOKEN_TILE + $tu * $TOKEN_THREADSu + local_invocation_index / $COL_THREADSu;
  let row$t = min(token$t, chunk.count - 1u);
  let d_out$t = (d_out_row + row$t) * params$.out_vec4s + params$.first_col_vec4;
  let d_x$t = (d_x_row + row$t) * params$.in_vec4s;
#end
  let first = workgroup_id.y * $GROUPSu * $QUADSu * $COL_THREADSu;
#for g in 0..$GROUPS
#if SUBGROUP
  let mine$g = min(first + $gu * $QUADSu + subgroup_invocation_id, params$.in_vec4s - 1u);
#end
#for q in 0..$QUADS
  let wanted$g_$q = first + ($gu * $QUADSu + $qu) * $COL_THREADSu + local_invocation_index % $COL_THREADSu;
  let col$g_$q = min(wanted$g_$q, params$.in_vec4s - 1u);
#end
#end
#if BLOCKED
  for (var block = 0u; block < params$.vec4s; block += $BLOCK_VEC4Su) {
  let end = min(block + $BLOCK_VEC4Su, params$.vec4s);
#else
  const block = 0u;
  let end = params$.vec4s;
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for t in 0..$TOKENS
  var sum$t_$g_$q = vec4(0.0);
#end
#end
#end
  for (var begin = block; begin < end; begin += $UNROLLu) {
#for u in 0..$UNROLL
      {
#if RAGGED
      let n = min(begin + $uu, params$.vec4s - 1u);
#else
      let n = begin + $uu;
#end
//: load
#for t in 0..$TOKENS
#if RAGGED
      var a$t = select(vec4(0.0), load_d_out$(d_out$t + n), begin + $uu < params$.vec4s);
#else
      var a$t = load_d_out$(d_out$t + n);
#end
//:
#if SCALED
//: multiply
      a$t *= params$.scale;
//:
#end
#end
#for c in 0..4
      let w$c = weight_row$(params$.first_row + 4u * n + $cu);
#end
//: load
#if SUBGROUP
      // All loads come before the additions, as in linear.wgsl.
#for g in 0..$GROUPS
#for c in 0..4
      let of_mine$g_$c = weight_at$(w$c, mine$g);
#end
#end
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for c in 0..4
#if SUBGROUP
      let b$g_$q_$c = subgroupBroadcast(of_mine$g_$c, $qu);
#end
#if DIRECT
      let b$g_$q_$c = weight_at$(w$c, col$g_$q);
#end
#end
//: multiply
      // All additions to one sum are adjacent, as in linear.wgsl.
#for t in 0..$TOKENS
#for c in 0..4
      sum$t_$g_$q = fma(vec4(a$t[$cu]), b$g_$q_$c, sum$t_$g_$q);
#end
#end
#end
//:
#end
      }
#end
    }
#for t in 0..$TOKENS
  if token$t < chunk.count {
#for g in 0..$GROUPS
#for q in 0..$QUADS
    if wanted$g_$q < params$.in_vec4s {
//: reduce
#if ACCUMULATE
      sum$t_$g_$q += floats(d_x$[d_x$t + col$g_$q]);
#else
      if block > 0u { sum$t_$g_$q += floats(d_x$[d_x$t + col$g_$q]); }
#end
//: store
      d_x$[d_x$t + col$g_$q] = quad(sum$t_$g_$q);
//:
    }
#end
#end
  }
#end
#if BLOCKED
  }
#end
}
