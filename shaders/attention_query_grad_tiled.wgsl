// d_q (C×H·E), and stats[i, h].y = d_out · out of the row (C×H×2). With p = exp(s − log_sum) recomputed for every visible key:
// d_s = p · (d_out · v − stats.y), d_q = scale · sum of d_s · k. For GPUs: tiles as in attention_tiled.wgsl, of products q · k and
// d_out · v, and then of d_s times keys. d_q holds the sum of the blocks of keys so far.
#include attention_query_grad_operands

var<workgroup> key_tile: array<array<vec4<f32>, $STRIDEu>, $COLSu>;
var<workgroup> value_tile: array<array<vec4<f32>, $STRIDEu>, $COLSu>;
var<workgroup> weight_tile: array<array<vec4<f32>, $COL_THREADSu + 1u>, $TILE_ROWSu>;

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let head = workgroup_id.y % params$.heads;
  // The last queries see the most keys, so they come first.
  let tile_start = (num_workgroups.x - 1u - workgroup_id.x) * TOKEN_TILE + workgroup_id.y / params$.heads * $TILE_ROWSu;
  if tile_start >= chunk.count || is_left_out(labelled_only$, tile_start) { return; }
  let last_key = chunk.start + min(tile_start + $TILE_ROWSu, chunk.count) - 1u;
  let col = local_invocation_index % $COL_THREADSu;
  let out_col = min(col, $SLICE_VEC4Su - 1u);
  let q_row = first_row(params$.q_row_modulus);
  let out_row = first_row(params$.out_row_modulus);
  let d_out_row = first_row(params$.d_out_row_modulus);
  let stats_row = first_row(params$.stats_row_modulus);
  let d_q_row = first_row(params$.d_q_row_modulus);
#for t in 0..$ROWS
  let in_tile$t = local_invocation_index / $COL_THREADSu + $tu * $ROW_THREADSu;
  let row$t = min(tile_start + in_tile$t, chunk.count - 1u);
  let token$t = chunk.start + row$t;
  let first_key$t = first_visible$(token$t);
  let q_at$t = ((q_row + row$t) * params$.heads + head) * params$.head_vec4s;
  let d_out_at$t = ((d_out_row + row$t) * params$.heads + head) * params$.head_vec4s;
  let d_q_at$t = ((d_q_row + row$t) * params$.heads + head) * params$.head_vec4s + out_col;
  let stats_at$t = (stats_row + row$t) * params$.heads + head;
//: load
  let log_sum$t = stats$[stats_at$t].x;
  let out_at$t = ((out_row + row$t) * params$.heads + head) * params$.head_vec4s;
//: reduce
  var delta$t = 0.0;
  for (var e = 0u; e < $HEAD_VEC4Su; e++) {
    delta$t = multiply_add(d_out$[d_out_at$t + e], out$[out_at$t + e], delta$t);
  }
//:
#end
  let head_offset = head / params$.num_key_value_groups * params$.head_vec4s;
  let first_key = first_visible$(chunk.start + tile_start) / $COLSu * $COLSu;
  // Of the blocks of keys, those that this dispatch is for.
  let end_key = min(last_key + 1u, chunk.end_key);
  let begin_key = max(first_key, chunk.first_key);
  let begin_row = begin_key % params$.keys_row_modulus;
  if begin_key >= end_key { return; }
#for t in 0..$ROWS
#for s in 0..$SLICES
  var all$t_$s = vec4(0.0);
//: load
  if begin_key > first_key { all$t_$s = d_q$[d_q_at$t + $su * $SLICE_VEC4Su]; }
//:
#end
#end
  for (var block = begin_key; block < end_key; block = (block / $BLOCKu + 1u) * $BLOCKu) {
    let block_end = min((block / $BLOCKu + 1u) * $BLOCKu, last_key + 1u);
#for t in 0..$ROWS
#for s in 0..$SLICES
    var sum$t_$s = vec4(0.0);
#end
#end
    for (var from_key = block; from_key < block_end; from_key += $COLSu) {
#for t in 0..$ROWS
#for j in 0..4
      var s$t_$j = 0.0;
      var d_p$t_$j = 0.0;
#end
#end
      for (var slice = 0u; slice < $HEAD_VEC4Su; slice += $SLICE_VEC4Su) {
//: load
        for (var i = local_invocation_index; i < $COLSu * $SLICE_VEC4Su; i += $WORKGROUP_SIZEu) {
          let row = wrap$(begin_row + min(from_key + i / $SLICE_VEC4Su, last_key) - begin_key);
          let at = row * params$.keys_row_vec4s + head_offset + slice + i % $SLICE_VEC4Su;
          key_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = load_k$(at);
          value_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = load_v$(at);
        }
        workgroupBarrier();
#for e in 0..$SLICE_VEC4S
#for j in 0..4
        let k$e_$j = key_tile[col + $ju * $COL_THREADSu][$e];
#end
#for t in 0..$ROWS
        let q$e_$t = load_q$(q_at$t + slice + $eu);
//: multiply
#for j in 0..4
        s$t_$j = multiply_add(q$e_$t, k$e_$j, s$t_$j);
#end
#end
//: load
#for j in 0..4
        let v$e_$j = value_tile[col + $ju * $COL_THREADSu][$e];
#end
#for t in 0..$ROWS
        let d_out$e_$t = d_out$[d_out_at$t + slice + $eu];
//: multiply
#for j in 0..4
        d_p$t_$j = multiply_add(d_out$e_$t, v$e_$j, d_p$t_$j);
#end
#end
//:
#end
#if SLICED
        workgroupBarrier();
#end
      }
      // Keys past the last one come after every query of the tile, so they are masked.
#for t in 0..$ROWS
#for j in 0..4
      let key$t_$j = from_key + col + $ju * $COL_THREADSu;
      let sees$t_$j = key$t_$j >= first_key$t && key$t_$j <= token$t;
//: multiply
      let d_s$t_$j = select(0.0, weight$(s$t_$j, log_sum$t) * (d_p$t_$j - delta$t) * params$.scale, sees$t_$j);
#end
      weight_tile[in_tile$t][col] = vec4(d_s$t_0, d_s$t_1, d_s$t_2, d_s$t_3);
//:
#end
#if SLICED
#else
      workgroupBarrier();
#end
#for s in 0..$SLICES
#if SLICED
//: load
      for (var i = local_invocation_index; i < $COLSu * $SLICE_VEC4Su; i += $WORKGROUP_SIZEu) {
        let row = wrap$(begin_row + min(from_key + i / $SLICE_VEC4Su, last_key) - begin_key);
        let at = row * params$.keys_row_vec4s + head_offset + $su * $SLICE_VEC4Su + i % $SLICE_VEC4Su;
        key_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = load_k$(at);
      }
      workgroupBarrier();
//:
#end
      for (var c = 0u; c < $COL_THREADSu; c++) {
//: load
#for t in 0..$ROWS
        let d_s$t = weight_tile[in_tile$t][c];
#end
#for j in 0..4
        let k$j = key_tile[c + $ju * $COL_THREADSu][out_col];
//: multiply
#for t in 0..$ROWS
        sum$t_$s = fma(vec4(d_s$t[$j]), k$j, sum$t_$s);
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
    all$t_$s += sum$t_$s;
#end
#end
//:
  }
  // Nobody writes what another thread of its row has yet to read.
  workgroupBarrier();
  storageBarrier();
#for t in 0..$ROWS
  if tile_start + in_tile$t < chunk.count {
//: store
    if col < $SLICE_VEC4Su {
#for s in 0..$SLICES
      d_q$[d_q_at$t + $su * $SLICE_VEC4Su] = all$t_$s;
#end
    }
    if col == 0u { stats$[stats_at$t] = vec2(log_sum$t, delta$t); }
//:
  }
#end
}
