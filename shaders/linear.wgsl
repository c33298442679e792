// out[i, n] (+)= scale · sum over k of x[i, k] · weight[n, k] (+ bias[n]) (+ residual[i, n]). A thread has $TOKENS tokens and
// $GROUPS · $QUADS groups of four columns; threads with other tokens use the same weights. With DIRECT each thread loads them (from a
// cache), with SUBGROUP each thread of a subgroup loads one and broadcasts it, with STAGED the workgroup stages both operands in workgroup
// memory. The slice of the matrix is `vec4s` groups of four rows from first_row on, for the columns of out from 4 · first_col_vec4 on.
// With BLOCKED each block of the inner dimension is summed on its own, and out holds the sum of the blocks so far.
#include weight

struct Params$ {
  in_vec4s: u32,
  out_vec4s: u32,
  vec4s: u32,
  first_row: u32,
  first_col_vec4: u32,
  scale: f32,
  x_row_modulus: u32,
  out_row_modulus: u32,
  residual_row_modulus: u32,
}

@group(0) @binding(x$) var<storage, read_write> x$: array<Quad>; // (C×K)
@group(0) @binding(weight$) var<storage, read> weight$: array<Stored$>; // (rows×K)
@group(0) @binding(out$) var<storage, read_write> out$: array<Quad>; // (C×M)
#if BIAS
@group(0) @binding(bias$) var<storage, read> bias$: array<Quad>; // (M)
#end
#if RESIDUAL
@group(0) @binding(residual$) var<storage, read_write> residual$: array<Quad>; // (C×M)
#end

#if STAGED
var<workgroup> x_tile: array<vec4<f32>, $STEPu * TOKEN_TILE>;
var<workgroup> weight_tile: array<vec4<f32>, $STEPu * 4u * $QUADSu * $COL_THREADSu>;
#end

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let x_row = first_row(params$.x_row_modulus);
  let out_row = first_row(params$.out_row_modulus);
#if RESIDUAL
  let residual_row = first_row(params$.residual_row_modulus);
#end
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
#if STAGED
  for (var from_k = block; from_k < end; from_k += $STEPu) {
    for (var i = local_invocation_index; i < $STEPu * TOKEN_TILE; i += $WORKGROUP_SIZEu) {
      let k = from_k + i % $STEPu;
      let row = min(workgroup_id.x * TOKEN_TILE + i / $STEPu, chunk.count - 1u);
      let value = floats(x$[(x_row + row) * params$.in_vec4s + min(k, params$.in_vec4s - 1u)]);
      x_tile[i % $STEPu * TOKEN_TILE + i / $STEPu] = select(vec4(0.0), value, k < params$.in_vec4s);
    }
    for (var i = local_invocation_index; i < $STEPu * 4u * $QUADSu * $COL_THREADSu; i += $WORKGROUP_SIZEu) {
      let k = from_k + i % $STEPu;
      let col = i / $STEPu;
      let row = params$.first_row + min(4u * first + col, 4u * params$.vec4s - 1u);
      let value = weight_at$(weight_row$(row), min(k, params$.in_vec4s - 1u));
      weight_tile[(i % $STEPu * 4u + col % 4u) * $QUADSu * $COL_THREADSu + col / 4u] = select(vec4(0.0), value, k < params$.in_vec4s);
    }
    workgroupBarrier();
    for (var begin = 0u; begin < $STEPu; begin += $UNROLLu) {
#else
    for (var begin = block; begin < end; begin += $UNROLLu) {
#end
#for u in 0..$UNROLL
      {
#if RAGGED
      let k = min(begin + $uu, params$.in_vec4s - 1u);
#else
      let k = begin + $uu;
#end
#for t in 0..$TOKENS
#if STAGED
      let a$t = x_tile[k * TOKEN_TILE + $tu * $TOKEN_THREADSu + local_invocation_index / $COL_THREADSu];
#else
#if RAGGED
      let a$t = select(vec4(0.0), floats(x$[x$t + k]), begin + $uu < params$.in_vec4s);
#else
      let a$t = floats(x$[x$t + k]);
#end
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
#if STAGED
      let b$g_$q_$c = weight_tile[((k * 4u + $cu) * $QUADSu + $qu) * $COL_THREADSu + local_invocation_index % $COL_THREADSu];
#end
#if DIRECT
      let b$g_$q_$c = weight_at$(w$g_$q_$c, k);
#end
#end
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
#end
      }
#end
    }
#if STAGED
    workgroupBarrier();
  }
#end
#for t in 0..$TOKENS
  if token$t < chunk.count {
    let out_start = (out_row + row$t) * params$.out_vec4s;
#if RESIDUAL
    let residual_start = (residual_row + row$t) * params$.out_vec4s;
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
    if wanted$g_$q < params$.vec4s {
      let at = params$.first_col_vec4 + col$g_$q;
#if ACCUMULATE
      var stored = fma(sum$t_$g_$q, vec4(params$.scale), floats(out$[out_start + at]));
#else
      if block > 0u { sum$t_$g_$q += floats(out$[out_start + at]); }
      var stored = sum$t_$g_$q;
#end
      if end == params$.in_vec4s {
#if ACCUMULATE
#if BIAS
        stored += floats(bias$[at]);
#end
#if RESIDUAL
        stored += floats(residual$[residual_start + at]);
#end
#else
#if BIAS
        stored = fma(stored, vec4(params$.scale), floats(bias$[at]));
#if RESIDUAL
        stored += floats(residual$[residual_start + at]);
#end
#else
#if RESIDUAL
        stored = fma(stored, vec4(params$.scale), floats(residual$[residual_start + at]));
#else
        stored *= params$.scale;
#end
#end
#end
      }
      out$[out_start + at] = quad(stored);
    }
#end
#end
  }
#end
#if BLOCKED
  }
#end
}
