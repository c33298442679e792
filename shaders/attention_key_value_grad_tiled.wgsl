// Adds the contributions of the chunk's queries to d_k and d_v (N×K·E): d_v[j] += sum of p · d_out[i], d_k[j] += scale · sum of d_s · q[i],
// over the queries i to which key j is visible, from last to first, and over the query heads that share the key. For GPUs: a workgroup has
// $TILE_ROWS keys of one key/value head, and goes through the queries 32 at a time, in tiles as those of attention_tiled.wgsl: rows are keys,
// columns queries. Each tile of queries is summed on its own and then added to d_k and d_v, so a chunk boundary is only one of these
// additions.
#include attention_key_value_grad_operands

var<workgroup> query_tile: array<array<vec4<f32>, $STRIDEu>, $COLSu>;
var<workgroup> d_out_tile: array<array<vec4<f32>, $STRIDEu>, $COLSu>;
// p and d_s.
var<workgroup> p_tile: array<array<vec4<f32>, $COL_THREADSu + 1u>, $TILE_ROWSu>;
var<workgroup> d_s_tile: array<array<vec4<f32>, $COL_THREADSu + 1u>, $TILE_ROWSu>;

// Stages a slice of a tile of queries and of their d_out, from the last query on.
fn stage$(last: u32, head: u32, slice: u32, local_invocation_index: u32) {
  let q_row = first_row(params$.q_row_modulus);
  let d_out_row = first_row(params$.d_out_row_modulus);
//: load
  for (var i = local_invocation_index; i < $COLSu * $SLICE_VEC4Su; i += $WORKGROUP_SIZEu) {
    let row = clamp(last - i / $SLICE_VEC4Su, chunk.start, chunk.start + chunk.count - 1u) - chunk.start;
    let e = slice + i % $SLICE_VEC4Su;
    query_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = load_q$(((q_row + row) * params$.heads + head) * params$.head_vec4s + e);
    d_out_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = d_out$[((d_out_row + row) * params$.heads + head) * params$.head_vec4s + e];
  }
//:
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let key_heads = params$.heads / params$.num_key_value_groups;
  let key_head = workgroup_id.y % key_heads;
  let chunk_end = chunk.start + chunk.count;
  let key_tile = max(first_in_window$(chunk.start), chunk.first_key) / TOKEN_TILE + workgroup_id.x;
  let first_key = key_tile * TOKEN_TILE + workgroup_id.y / key_heads * $TILE_ROWSu;
  if first_key >= chunk_end { return; }
  let last_key = min(first_key + $TILE_ROWSu, chunk_end) - 1u;
  // The sequence of the chunk's queries may begin after these keys.
  if first_visible$(chunk.start) > last_key { return; }
  let col = local_invocation_index % $COL_THREADSu;
  let out_col = min(col, $SLICE_VEC4Su - 1u);
  // A tile never wraps around the end of a ring.
  let first_key_row = first_key % params$.keys_row_modulus;
  let first_grad_row = first_key % params$.d_keys_row_modulus;
#for t in 0..$ROWS
  let in_tile$t = local_invocation_index / $COL_THREADSu + $tu * $ROW_THREADSu;
  let key$t = min(first_key + in_tile$t, last_key);
  let k_at$t = (first_key_row + key$t - first_key) * params$.keys_row_vec4s + key_head * params$.head_vec4s;
  let d_k_at$t = (first_grad_row + key$t - first_key) * params$.keys_row_vec4s + key_head * params$.head_vec4s;
  let is_mine$t = col < $SLICE_VEC4Su && first_key + in_tile$t <= last_key;
#if REGISTERS
//: load
#for s in 0..$SLICES
  var all_d_k$t_$s = d_k$[d_k_at$t + out_col + $su * $SLICE_VEC4Su];
  var all_d_v$t_$s = d_v$[d_k_at$t + out_col + $su * $SLICE_VEC4Su];
#end
//:
#end
#end
  let stats_row = first_row(params$.stats_row_modulus);
  let first_tile = max(first_key, chunk.start) / TOKEN_TILE;
  let last_tile = (chunk_end + TOKEN_TILE - 1u) / TOKEN_TILE;
  // A tile of queries has several parts if so many heads share a key that it has more terms than a sum may have.
  for (var part = last_tile * $PARTSu; part > first_tile * $PARTSu; part--) {
    let tile = (part - 1u) / $PARTSu + 1u;
    let first_query = max((tile - 1u) * TOKEN_TILE, chunk.start);
    if first_visible$(first_query) > last_key || is_left_out(labelled_only$, first_query - chunk.start) { continue; }
#for t in 0..$ROWS
#for s in 0..$SLICES
    var d_k$t_$s = vec4(0.0);
    var d_v$t_$s = vec4(0.0);
#end
#end
    // Always a whole tile; to queries past the end no key is visible. For each 32 queries it goes through the heads.
    let begin_n = (tile * $PARTSu - part) * $PART_STEPSu;
    for (var n = begin_n; n < min(begin_n + $PART_STEPSu, TOKEN_TILE / $COLSu * params$.num_key_value_groups); n++) {
      let last = tile * TOKEN_TILE - 1u - n / params$.num_key_value_groups * $COLSu;
      let head = key_head * params$.num_key_value_groups + n % params$.num_key_value_groups;
#for t in 0..$ROWS
#for j in 0..4
      var s$t_$j = 0.0;
      var d_p$t_$j = 0.0;
#end
#end
      for (var slice = 0u; slice < $HEAD_VEC4Su; slice += $SLICE_VEC4Su) {
//: load
        stage$(last, head, slice, local_invocation_index);
        workgroupBarrier();
#for e in 0..$SLICE_VEC4S
#for j in 0..4
        let q$e_$j = query_tile[col + $ju * $COL_THREADSu][$e];
#end
#for t in 0..$ROWS
        let k$e_$t = load_k$(k_at$t + slice + $eu);
//: multiply
#for j in 0..4
        s$t_$j = multiply_add(q$e_$j, k$e_$t, s$t_$j);
#end
#end
//: load
#for j in 0..4
        let d_out$e_$j = d_out_tile[col + $ju * $COL_THREADSu][$e];
#end
#for t in 0..$ROWS
        let v$e_$t = load_v$(k_at$t + slice + $eu);
//: multiply
#for j in 0..4
        d_p$t_$j = multiply_add(d_out$e_$j, v$e_$t, d_p$t_$j);
#end
#end
//:
#end
#if SLICED
        workgroupBarrier();
#end
      }
#for j in 0..4
      let query$j = last - col - $ju * $COL_THREADSu;
      let token$j = clamp(query$j, chunk.start, chunk_end - 1u);
      let first_seen$j = first_visible$(token$j);
//: load
      let log_sum_and_delta$j = stats$[(stats_row + token$j - chunk.start) * params$.heads + head];
//:
#end
#for t in 0..$ROWS
#for j in 0..4
      let sees$t_$j = query$j == token$j && key$t <= token$j && key$t >= first_seen$j;
//: multiply
      let p$t_$j = select(0.0, weight$(s$t_$j, log_sum_and_delta$j.x), sees$t_$j);
      let d_s$t_$j = select(0.0, p$t_$j * (d_p$t_$j - log_sum_and_delta$j.y) * params$.scale, sees$t_$j);
#end
      p_tile[in_tile$t][col] = vec4(p$t_0, p$t_1, p$t_2, p$t_3);
      d_s_tile[in_tile$t][col] = vec4(d_s$t_0, d_s$t_1, d_s$t_2, d_s$t_3);
#end
//:
#if SLICED
#else
      workgroupBarrier();
#end
#for s in 0..$SLICES
#if SLICED
//: load
      stage$(last, head, $su * $SLICE_VEC4Su, local_invocation_index);
      workgroupBarrier();
//:
#end
      for (var c = 0u; c < $COL_THREADSu; c++) {
//: load
#for t in 0..$ROWS
        let p$t = p_tile[in_tile$t][c];
        let d_s$t = d_s_tile[in_tile$t][c];
#end
#for j in 0..4
        let q$j = query_tile[c + $ju * $COL_THREADSu][out_col];
        let d_out$j = d_out_tile[c + $ju * $COL_THREADSu][out_col];
//: multiply
#for t in 0..$ROWS
        d_v$t_$s = fma(vec4(p$t[$j]), d_out$j, d_v$t_$s);
        d_k$t_$s = fma(vec4(d_s$t[$j]), q$j, d_k$t_$s);
#end
#end
//:
      }
      workgroupBarrier();
#end
    }
//: reduce
#for t in 0..$ROWS
#for s in 0..$SLICES
#if REGISTERS
    all_d_k$t_$s += d_k$t_$s;
    all_d_v$t_$s += d_v$t_$s;
//:
#else
//: store
    if is_mine$t {
      d_k$[d_k_at$t + out_col + $su * $SLICE_VEC4Su] += d_k$t_$s;
      d_v$[d_k_at$t + out_col + $su * $SLICE_VEC4Su] += d_v$t_$s;
    }
//:
#end
#end
#end
  }
#if REGISTERS
#for t in 0..$ROWS
  if is_mine$t {
//: store
#for s in 0..$SLICES
    d_k$[d_k_at$t + out_col + $su * $SLICE_VEC4Su] = all_d_k$t_$s;
    d_v$[d_k_at$t + out_col + $su * $SLICE_VEC4Su] = all_d_v$t_$s;
#end
//:
  }
#end
#end
}
