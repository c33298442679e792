// The sums of a thread for a tile of tokens and columns, over `all_terms` groups of four terms. With BLOCKED it stands in a loop over their
// blocks, from `block` to `end`, which goes on after these lines.
  let row_thread = local_invocation_index / $COL_THREADSu;
  let col_thread = local_invocation_index % $COL_THREADSu;
  let first_token = workgroup_id.x * TOKEN_TILE;
  let first_col = workgroup_id.y * $COL_VEC4Su * $COL_THREADSu;
  let mine = staged_by($COL_VEC4Su * $COL_THREADSu, local_invocation_index);
//: load
  var next = load$(mine, first_token, first_col, mine.terms);
//:
#if HELD
#for r in 0..$ROW_VEC4S
#for c in 0..4
#for q in 0..$COL_VEC4S
  var held$r_$c_$q = vec4(0.0);
#end
#end
#end
#end
#if BLOCKED
  for (var block = 0u; block < all_terms; block += $BLOCK_VEC4Su) {
  let end = min(block + $BLOCK_VEC4Su, all_terms);
#else
  const block = 0u;
  let end = all_terms;
#end
#for r in 0..$ROW_VEC4S
#for c in 0..4
#for q in 0..$COL_VEC4S
  var sum$r_$c_$q = vec4(0.0);
#end
#end
#end
  for (var first = block; first < end; first += TILE_VEC4S) {
//: load
    stage(mine, next);
    workgroupBarrier();
    if first + TILE_VEC4S < all_terms { next = load$(mine, first_token, first_col, first + TILE_VEC4S + mine.terms); }
//:
#insert matmul_tile_product
    workgroupBarrier();
  }
