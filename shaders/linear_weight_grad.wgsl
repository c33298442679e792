// d_weight[n, k] += sum over tokens of d_out[i, n] · x[i, k], from the last token to the first. A thread owns $GROUPS · $QUADS groups of
// four rows of $COLS groups of four columns, within the slice. Threads share operands as in linear.wgsl. Each tile of tokens is summed on its
// own and then added to d_weight, so a chunk boundary is only one of these additions.
#include packed_loads

struct Params$ { in_vec4s: u32, out_vec4s: u32, vec4s: u32, first_row: u32, first_col_vec4: u32, d_out_row_modulus: u32, x_row_modulus: u32 }

@group(0) @binding(d_out$) var<storage, read_write> d_out$: array<Quad>; // (C×M)
@group(0) @binding(x$) var<storage, read_write> x$: array<Quad>; // (C×K)
@group(0) @binding(d_weight$) var<storage, read_write> d_weight$: array<Quad>; // (rows×K)

#if STAGED
var<workgroup> d_out_tile: array<vec4<f32>, $STEPu * $QUADSu * $ROW_THREADSu>;
var<workgroup> x_tile: array<vec4<f32>, $STEPu * $COLSu * $COL_THREADSu>;
#end

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
#for k in 0..$COLS
  var total$g_$q_$c_$k = floats(d_weight$[at$g_$q_$c + col$k]);
#end
#end
#end
#end
  for (var tile = token_tiles(); tile > 0u; tile--) {
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
#if STAGED
    for (var behind = 0u; behind < TOKEN_TILE; behind += $STEPu) {
    for (var i = local_invocation_index; i < $STEPu * $QUADSu * $ROW_THREADSu; i += $WORKGROUP_SIZEu) {
      let row = min(tile * TOKEN_TILE - 1u - behind - i / ($QUADSu * $ROW_THREADSu), chunk.count - 1u);
      let n = min(first + i % ($QUADSu * $ROW_THREADSu), params$.vec4s - 1u);
      d_out_tile[i] = floats(d_out$[(d_out_row + row) * params$.out_vec4s + params$.first_col_vec4 + n]);
    }
    for (var i = local_invocation_index; i < $STEPu * $COLSu * $COL_THREADSu; i += $WORKGROUP_SIZEu) {
      let token = tile * TOKEN_TILE - 1u - behind - i / ($COLSu * $COL_THREADSu);
      let col = min(first_col + i % ($COLSu * $COL_THREADSu), params$.in_vec4s - 1u);
      x_tile[i] = select(vec4(0.0), floats(x$[(x_row + min(token, chunk.count - 1u)) * params$.in_vec4s + col]), token < chunk.count);
    }
    workgroupBarrier();
    for (var i = 0u; i < $STEPu; i += $UNROLLu) {
#else
    for (var i = 1u; i <= TOKEN_TILE; i += $UNROLLu) {
#end
#for u in 0..$UNROLL
#if STAGED
#else
      let token$u = tile * TOKEN_TILE - i - $uu;
      let row$u = min(token$u, chunk.count - 1u);
      let x_start$u = (x_row + row$u) * params$.in_vec4s;
      let d_out_start$u = (d_out_row + row$u) * params$.out_vec4s + params$.first_col_vec4;
#end
#for k in 0..$COLS
#if STAGED
      let b$u_$k = x_tile[((i + $uu) * $COLSu + $ku) * $COL_THREADSu + local_invocation_index % $COL_THREADSu];
#else
      let b$u_$k = select(vec4(0.0), floats(x$[x_start$u + col$k]), token$u < chunk.count);
#end
#end
#if SUBGROUP
#for g in 0..$GROUPS
      let of_mine$u_$g = floats(d_out$[d_out_start$u + mine$g]);
#end
#end
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for u in 0..$UNROLL
#if SUBGROUP
      let a$u_$g_$q = subgroupBroadcast(of_mine$u_$g, $qu);
#end
#if STAGED
      let a$u_$g_$q = d_out_tile[((i + $uu) * $QUADSu + $qu) * $ROW_THREADSu + local_invocation_index / $COL_THREADSu];
#end
#if DIRECT
      let a$u_$g_$q = floats(d_out$[d_out_start$u + n$g_$q]);
#end
#end
#for c in 0..4
#for k in 0..$COLS
#for u in 0..$UNROLL
      sum$g_$q_$c_$k = fma(vec4(a$u_$g_$q[$cu]), b$u_$k, sum$g_$q_$c_$k);
#end
#end
#end
#end
#end
    }
#if STAGED
    workgroupBarrier();
    }
#end
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for c in 0..4
#for k in 0..$COLS
    total$g_$q_$c_$k += sum$g_$q_$c_$k;
#end
#end
#end
#end
  }
#for g in 0..$GROUPS
#for q in 0..$QUADS
#for k in 0..$COLS
  if wanted$g_$q < params$.vec4s && wanted_col$k < params$.in_vec4s {
#for c in 0..4
    d_weight$[at$g_$q_$c + col$k] = quad(total$g_$q_$c_$k);
#end
  }
#end
#end
#end
}
