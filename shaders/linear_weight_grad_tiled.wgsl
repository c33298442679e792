// d_weight[n, k] += sum over tokens of d_out[i, n] · x[i, k], from the last token to the first, as linear_weight_grad.wgsl. For GPUs: a
// workgroup has a tile of 64 rows and 4 · $COL_VEC4S · $COL_THREADS columns of d_weight, and stages both operands, eight tokens at a time, as
// linear_tiled.wgsl. Each tile of tokens is summed on its own and then added, so a chunk boundary is only one of these additions.
#include linear_weight_grad_operands
#include matmul_tile

// Four tokens, from the one before `behind` on to the first, of the rows or of the columns that a thread stages.
fn load$(what: Staged, first_row_vec4: u32, first_col: u32, behind: u32) -> mat4x4<f32> {
  var values = mat4x4<f32>();
  let last = behind - 1u - 4u * what.terms;
//: load
  if what.is_of_cols {
    let x_row = first_row(params$.x_row_modulus);
    let col = min(first_col + what.group, params$.in_vec4s - 1u);
#for c in 0..4
    let value$c = load_x$((x_row + min(last - $cu, chunk.count - 1u)) * params$.in_vec4s + col);
    values[$c] = select(vec4(0.0), value$c, last - $cu < chunk.count);
#end
  }
  if what.is_of_rows {
    let d_out_row = first_row(params$.d_out_row_modulus);
    let n = min(first_row_vec4 + what.group, params$.vec4s - 1u);
#for c in 0..4
    values[$c] = load_d_out$((d_out_row + min(last - $cu, chunk.count - 1u)) * params$.out_vec4s + params$.first_col_vec4 + n);
#end
  }
//:
  return values;
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let row_thread = local_invocation_index / $COL_THREADSu;
  let col_thread = local_invocation_index % $COL_THREADSu;
  let first_row_vec4 = workgroup_id.y * TILE_ROW_VEC4S;
  let first_col = workgroup_id.x * $COL_VEC4Su * $COL_THREADSu;
  let mine = staged_by($COL_VEC4Su * $COL_THREADSu, local_invocation_index);
#for q in 0..$COL_VEC4S
  // Threads past the last row or column have another one's, and do not store it.
  let wanted_col$q = first_col + $qu * $COL_THREADSu + col_thread;
  let col$q = min(wanted_col$q, params$.in_vec4s - 1u);
#end
#for r in 0..$ROW_VEC4S
  let wanted$r = first_row_vec4 + $ru * $ROW_THREADSu + row_thread;
#for c in 0..4
  let at$r_$c = (params$.first_row + 4u * min(wanted$r, params$.vec4s - 1u) + $cu) * params$.in_vec4s;
//: load
#for q in 0..$COL_VEC4S
  var total$r_$c_$q = floats(d_weight$[at$r_$c + col$q]);
#end
//:
#end
#end
  var tile = tiles_with_work(labelled_only$, token_tiles());
  if tile == 0u { return; }
//: load
  var next = load$(mine, first_row_vec4, first_col, tile * TOKEN_TILE);
//:
  while tile > 0u {
    let next_tile = tiles_with_work(labelled_only$, tile - 1u);
#for r in 0..$ROW_VEC4S
#for c in 0..4
#for q in 0..$COL_VEC4S
    var sum$r_$c_$q = vec4(0.0);
#end
#end
#end
    // Always a whole tile, so that every tile runs the same code; tokens past the end count as zero.
    for (var behind = tile * TOKEN_TILE; behind > (tile - 1u) * TOKEN_TILE; behind -= 4u * TILE_VEC4S) {
//: load
      stage(mine, next);
      workgroupBarrier();
      let is_end_of_tile = behind == (tile - 1u) * TOKEN_TILE + 4u * TILE_VEC4S;
      let next_behind = select(behind - 4u * TILE_VEC4S, next_tile * TOKEN_TILE, is_end_of_tile);
      if next_behind > 0u { next = load$(mine, first_row_vec4, first_col, next_behind); }
//:
#insert matmul_tile_product
      workgroupBarrier();
    }
//: reduce
#for r in 0..$ROW_VEC4S
#for c in 0..4
#for q in 0..$COL_VEC4S
    total$r_$c_$q += sum$r_$c_$q;
#end
#end
#end
//:
    tile = next_tile;
  }
#for r in 0..$ROW_VEC4S
  if wanted$r < params$.vec4s {
//: store
#for q in 0..$COL_VEC4S
    if wanted_col$q < params$.in_vec4s {
#for c in 0..4
      d_weight$[at$r_$c + col$q] = quad(total$r_$c_$q);
#end
    }
#end
//:
  }
#end
}
