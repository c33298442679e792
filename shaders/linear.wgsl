// out[i, n] (+)= scale · sum over k of x[i, k] · weight[n, k] (+ bias[n]) (+ residual[i, n]). A thread has $TOKENS tokens and
// $GROUPS · $QUADS groups of four columns; threads with other tokens use the same weights. With DIRECT each thread loads them (from a
// cache), with SUBGROUP each thread of a subgroup loads one and broadcasts it. The slice of the matrix is `vec4s` groups of four rows from
// first_row on, for the columns of out from 4 · first_col_vec4 on. With BLOCKED each block of the inner dimension is summed on its own, and
// out holds the sum of the blocks so far; with HELD registers do.
#include linear_operands

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  if is_left_out(labelled_only$, workgroup_id.x * TOKEN_TILE) { return; }
  let x_row = first_row(params$.x_row_modulus);
  let out_row = first_row(params$.out_row_modulus);
  let residual_row = first_row(params$.residual_row_modulus);
#for t in 0..$TOKENS
  let token$t = workgroup_id.x * TOKEN_TILE + $tu * $TOKEN_THREADSu + local_invocation_index / $COL_THREADSu;
  let row$t = min(token$t, chunk.count - 1u);
  let x$t = (x_row + row$t) * params$.in_vec4s;
#end
  let first = workgroup_id.y * $GROUPSu * $QUADSu * $COL_THREADSu;
#for g in 0..$GROUPS
#if SUBGROUP
  let w$g = weight_row$(params$.first_row + min(4u * (first + $gu * $QUADSu) + subgroup_invocation_id, 4u * params$.vec4s - 1u));
#end
#for q in 0..$QUADS
  // Threads past the last column repeat the last one and do not store it.
  let wanted$g_$q = first + ($gu * $QUADSu + $qu) * $COL_THREADSu + local_invocation_index % $COL_THREADSu;
  let col$g_$q = min(wanted$g_$q, params$.vec4s - 1u);
#if DIRECT
#for c in 0..4
  let w$g_$q_$c = weight_row$(params$.first_row + 4u * col$g_$q + $cu);
#end
#end
#end
#end
#if HELD
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for t in 0..$TOKENS
  var held$t_$g_$q = vec4(0.0);
#end
#end
#end
#end
#if BLOCKED
  for (var block = 0u; block < params$.in_vec4s; block += $BLOCK_VEC4Su) {
  let end = min(block + $BLOCK_VEC4Su, params$.in_vec4s);
#else
  const block = 0u;
  let end = params$.in_vec4s;
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
      let k = min(begin + $uu, params$.in_vec4s - 1u);
#else
      let k = begin + $uu;
#end
//: load
#for t in 0..$TOKENS
#if RAGGED
      let a$t = select(vec4(0.0), load_x$(x$t + k), begin + $uu < params$.in_vec4s);
#else
      let a$t = load_x$(x$t + k);
#end
#end
#if SUBGROUP
      // All loads come before the additions: each load has branches on some drivers, and branches between the additions would split their
      // code.
#for g in 0..$GROUPS
      let mine$g = weight_at$(w$g, k);
#end
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for c in 0..4
#if SUBGROUP
      let b$g_$q_$c = subgroupBroadcast(mine$g, 4u * $qu + $cu);
#end
#if DIRECT
      let b$g_$q_$c = weight_at$(w$g_$q_$c, k);
#end
#end
//: multiply
#for e in 0..4
      let e$g_$q_$e = vec4(b$g_$q_0[$eu], b$g_$q_1[$eu], b$g_$q_2[$eu], b$g_$q_3[$eu]);
#end
      // All additions to one sum are adjacent, so a compiler that keeps their order holds each sum in registers only once.
#for t in 0..$TOKENS
#for e in 0..4
      sum$t_$g_$q = fma(vec4(a$t[$eu]), e$g_$q_$e, sum$t_$g_$q);
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
    let out_start = (out_row + row$t) * params$.out_vec4s;
    let residual_start = (residual_row + row$t) * params$.out_vec4s;
#for g in 0..$GROUPS
#for q in 0..$QUADS
//: store
    if wanted$g_$q < params$.vec4s {
#if HELD
      let before = held$t_$g_$q;
#else
      const before = vec4(0.0);
#end
      let sum = store$(before, sum$t_$g_$q, out_start, residual_start, params$.first_col_vec4 + col$g_$q, block == 0u, end == params$.in_vec4s);
#if HELD
      held$t_$g_$q = sum;
#end
    }
//:
#end
#end
  }
#end
#if BLOCKED
  }
#end
}
