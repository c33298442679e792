// out = softmax(q · kᵀ · scale) · v over the keys that are visible to a query (C×H·E); stats[i, h].x = log-sum-exp of the row (C×H×2).
// For GPUs: a workgroup has 32 queries of one head. For 32 keys at a time it multiplies two tiles twice: scores are queries times keys, and
// sums are weights times values, with a running maximum (online softmax, as in FlashAttention, Dao et al. 2022). A thread has $ROWS rows of
// both products: four columns of the scores, and one group of four columns of each slice of the head. Its columns of the scores are as far apart
// as there are threads of a row, so that threads that run together read different banks of workgroup memory.
// Each block of keys is summed on its own; out and stats hold the sums of the blocks so far, and the maximum that they refer to.
#include attention_operands

const LOWEST$: f32 = -1e30;

// A slice of keys, and then of values.
var<workgroup> key_tile: array<array<vec4<f32>, $STRIDEu>, $COLSu>;
var<workgroup> weight_tile: array<array<vec4<f32>, $COL_THREADSu + 1u>, $TILE_ROWSu>;
// What each thread of a row has found: its maximum, and its sum.
var<workgroup> of_threads: array<array<f32, $COL_THREADSu + 1u>, $TILE_ROWSu>;

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
  let stats_row = first_row(params$.stats_row_modulus);
#for t in 0..$ROWS
  let in_tile$t = local_invocation_index / $COL_THREADSu + $tu * $ROW_THREADSu;
  let row$t = min(tile_start + in_tile$t, chunk.count - 1u);
  let token$t = chunk.start + row$t;
  let first_key$t = first_visible$(token$t);
  let q_at$t = ((q_row + row$t) * params$.heads + head) * params$.head_vec4s;
  let out_at$t = ((out_row + row$t) * params$.heads + head) * params$.head_vec4s + out_col;
  let stats_at$t = (stats_row + row$t) * params$.heads + head;
#end
  let head_offset = head / params$.num_key_value_groups * params$.head_vec4s;
  let first_key = first_visible$(chunk.start + tile_start) / $COLSu * $COLSu;
  // Of the blocks of keys, those that this dispatch is for.
  let end_key = min(last_key + 1u, chunk.end_key);
  let begin_key = max(first_key, chunk.first_key);
  let begin_row = begin_key % params$.keys_row_modulus;
  if begin_key >= end_key { return; }
#for t in 0..$ROWS
  var all_max$t = LOWEST$;
  var all_sum$t = 0.0;
#for s in 0..$SLICES
  var all$t_$s = vec4(0.0);
#end
  if begin_key > first_key {
//: load
    let before = stats$[stats_at$t];
    all_max$t = before.x;
    all_sum$t = before.y;
#for s in 0..$SLICES
    all$t_$s = out$[out_at$t + $su * $SLICE_VEC4Su];
#end
//:
  }
#end
  for (var block = begin_key; block < end_key; block = (block / $BLOCKu + 1u) * $BLOCKu) {
    let block_end = min((block / $BLOCKu + 1u) * $BLOCKu, last_key + 1u);
#for t in 0..$ROWS
    var row_max$t = LOWEST$;
    var row_sum$t = 0.0;
#for s in 0..$SLICES
    var sum$t_$s = vec4(0.0);
#end
#end
    for (var from_key = block; from_key < block_end; from_key += $COLSu) {
#for t in 0..$ROWS
#for j in 0..4
      var s$t_$j = 0.0;
#end
#end
      for (var slice = 0u; slice < $HEAD_VEC4Su; slice += $SLICE_VEC4Su) {
//: load
        for (var i = local_invocation_index; i < $COLSu * $SLICE_VEC4Su; i += $WORKGROUP_SIZEu) {
          let row = wrap$(begin_row + min(from_key + i / $SLICE_VEC4Su, last_key) - begin_key);
          key_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = load_k$(row * params$.keys_row_vec4s + head_offset + slice + i % $SLICE_VEC4Su);
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
//:
#end
        workgroupBarrier();
      }
      // Keys past the last one come after every query of the tile, so they are masked.
#for t in 0..$ROWS
#for j in 0..4
      let key$t_$j = from_key + col + $ju * $COL_THREADSu;
      let sees$t_$j = key$t_$j >= first_key$t && key$t_$j <= token$t;
      s$t_$j = select(LOWEST$, score$(s$t_$j), sees$t_$j);
#end
//: reduce
      of_threads[in_tile$t][col] = max(max(s$t_0, s$t_1), max(s$t_2, s$t_3));
//:
#end
      workgroupBarrier();
//: reduce
#for t in 0..$ROWS
      var new_max$t = row_max$t;
#for c in 0..$COL_THREADS
      new_max$t = max(new_max$t, of_threads[in_tile$t][$c]);
#end
      let rescale$t = exp(row_max$t - new_max$t);
      row_max$t = new_max$t;
#for j in 0..4
      let p$t_$j = select(0.0, exp(s$t_$j - new_max$t), sees$t_$j);
#end
      row_sum$t = fma(row_sum$t, rescale$t, p$t_0 + p$t_1 + p$t_2 + p$t_3);
      weight_tile[in_tile$t][col] = vec4(p$t_0, p$t_1, p$t_2, p$t_3);
#for s in 0..$SLICES
      sum$t_$s *= rescale$t;
#end
#end
//:
#for s in 0..$SLICES
//: load
      for (var i = local_invocation_index; i < $COLSu * $SLICE_VEC4Su; i += $WORKGROUP_SIZEu) {
        let row = wrap$(begin_row + min(from_key + i / $SLICE_VEC4Su, last_key) - begin_key);
        let at = row * params$.keys_row_vec4s + head_offset + $su * $SLICE_VEC4Su + i % $SLICE_VEC4Su;
        key_tile[i / $SLICE_VEC4Su][i % $SLICE_VEC4Su] = load_v$(at);
      }
      workgroupBarrier();
      for (var c = 0u; c < $COL_THREADSu; c++) {
#for t in 0..$ROWS
        let p$t = weight_tile[in_tile$t][c];
#end
//: multiply
#for j in 0..4
        let v$j = key_tile[c + $ju * $COL_THREADSu][out_col];
#for t in 0..$ROWS
        sum$t_$s = fma(vec4(p$t[$j]), v$j, sum$t_$s);
#end
#end
//:
      }
      workgroupBarrier();
#end
    }
//: reduce
#for t in 0..$ROWS
    of_threads[in_tile$t][col] = row_sum$t;
#end
    workgroupBarrier();
#for t in 0..$ROWS
    row_sum$t = 0.0;
#for c in 0..$COL_THREADS
    row_sum$t += of_threads[in_tile$t][$c];
#end
    let new_max$t = max(all_max$t, row_max$t);
    let rescale$t = exp(row_max$t - new_max$t);
    let rescale_all$t = exp(all_max$t - new_max$t);
    all_max$t = new_max$t;
    all_sum$t = fma(row_sum$t, rescale$t, all_sum$t * rescale_all$t);
#for s in 0..$SLICES
    all$t_$s = fma(sum$t_$s, vec4(rescale$t), all$t_$s * rescale_all$t);
#end
#end
//:
    workgroupBarrier();
  }
  // Nobody writes what another thread of its row has yet to read.
  storageBarrier();
  let is_last = end_key > last_key;
#for t in 0..$ROWS
  if tile_start + in_tile$t < chunk.count {
//: store
    if col < $SLICE_VEC4Su {
#for s in 0..$SLICES
      out$[out_at$t + $su * $SLICE_VEC4Su] = select(all$t_$s, all$t_$s / all_sum$t, is_last);
#end
    }
    if col == 0u { stats$[stats_at$t] = select(vec2(all_max$t, all_sum$t), vec2(all_max$t + log(all_sum$t), 0.0), is_last); }
//:
  }
#end
}
