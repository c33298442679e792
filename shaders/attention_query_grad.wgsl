// d_q (C×H·E), and stats[i, h].y = d_out · out of the row (C×H×2). With p = exp(s − log_sum) recomputed for every visible key:
// d_s = p · (d_out · v − stats.y), d_q = scale · sum of d_s · k. A thread has $TOKENS query rows of one head. Threads share keys, and
// d_q holds the sum of the blocks of keys so far, as in attention.wgsl.
#include attention_query_grad_operands

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let tile_start = workgroup_id.x * TOKEN_TILE;
  if is_left_out(labelled_only$, tile_start) { return; }
  let head = workgroup_id.y;
  let last_key = chunk.start + min(tile_start + TOKEN_TILE, chunk.count) - 1u;
  let q_row = first_row(params$.q_row_modulus);
  let out_row = first_row(params$.out_row_modulus);
  let d_out_row = first_row(params$.d_out_row_modulus);
  let stats_row = first_row(params$.stats_row_modulus);
  let d_q_row = first_row(params$.d_q_row_modulus);
#for t in 0..$TOKENS
  let row$t = min(tile_start + $tu * $WORKGROUP_SIZEu + local_invocation_index, chunk.count - 1u);
  let token$t = chunk.start + row$t;
  let first_key$t = first_visible$(token$t);
  let q_at$t = ((q_row + row$t) * params$.heads + head) * params$.head_vec4s;
  let d_out_at$t = ((d_out_row + row$t) * params$.heads + head) * params$.head_vec4s;
  let out_at$t = ((out_row + row$t) * params$.heads + head) * params$.head_vec4s;
  let stats_at$t = (stats_row + row$t) * params$.heads + head;
  let d_q_at$t = ((d_q_row + row$t) * params$.heads + head) * params$.head_vec4s;
//: load
  let log_sum$t = stats$[stats_at$t].x;
//: reduce
  var delta$t = 0.0;
//: load
#for e in 0..$HEAD_VEC4S
  let q$t_$e = load_q$(q_at$t + $eu);
  let d_out$t_$e = floats(d_out$[d_out_at$t + $eu]);
//: reduce
  delta$t = multiply_add(d_out$t_$e, floats(out$[out_at$t + $eu]), delta$t);
//:
#end
#end
  let head_offset = head / params$.num_key_value_groups * params$.head_vec4s;
  let first_key = first_visible$(chunk.start + tile_start) / $STEPu * $STEPu;
  // Of the blocks of keys, those that this dispatch is for. The bound depends on the workgroup, so that lavapipe does not specialise for it.
  let end_key = min(last_key + 1u, chunk.end_key);
  let begin_key = max(first_key, chunk.first_key);
  let begin_row = begin_key % params$.keys_row_modulus;
  var block = begin_key;
  while block < end_key {
  let block_end = min((block / $BLOCKu + 1u) * $BLOCKu, last_key + 1u);
#for t in 0..$TOKENS
#for e in 0..$HEAD_VEC4S
  var d_q$t_$e = vec4(0.0);
#end
#end
#if DIRECT
    for (var key = block; key < block_end; key += $UNROLLu) {
#else
  for (var from_key = block; from_key < block_end; from_key += $STEPu) {
    let at = wrap$(begin_row + min(from_key + subgroup_invocation_id, last_key) - begin_key) * params$.keys_row_vec4s + head_offset;
//: load
#for e in 0..$HEAD_VEC4S
    let my_k$e = load_k$(at + $eu);
    let my_v$e = load_v$(at + $eu);
#end
//:
    for (var key = from_key; key < min(from_key + $STEPu, block_end); key += $UNROLLu) {
#end
    // Keys past the last one come after every query of the tile, so they are masked.
#for j in 0..$UNROLL
#if DIRECT
    let at$j = wrap$(begin_row + min(key + $ju, last_key) - begin_key) * params$.keys_row_vec4s + head_offset;
#end
#for t in 0..$TOKENS
    var s$t_$j = 0.0;
    var d_p$t_$j = 0.0;
#end
#for e in 0..$HEAD_VEC4S
//: load
#if SUBGROUP
    let k$j_$e = subgroupShuffle(my_k$e, key - from_key + $ju);
    let v$j_$e = subgroupShuffle(my_v$e, key - from_key + $ju);
#end
#if DIRECT
    let k$j_$e = load_k$(at$j + $eu);
    let v$j_$e = load_v$(at$j + $eu);
#end
//: multiply
#for t in 0..$TOKENS
    s$t_$j = multiply_add(q$t_$e, k$j_$e, s$t_$j);
    d_p$t_$j = multiply_add(d_out$t_$e, v$j_$e, d_p$t_$j);
#end
//:
#end
#for t in 0..$TOKENS
    let sees$t_$j = key + $ju >= first_key$t && key + $ju <= token$t;
//: multiply
    let p$t_$j = weight$(s$t_$j, log_sum$t);
    let d_s$t_$j = select(0.0, p$t_$j * (d_p$t_$j - delta$t) * params$.scale, sees$t_$j);
#end
//:
#end
//: multiply
#for e in 0..$HEAD_VEC4S
#for t in 0..$TOKENS
#for j in 0..$UNROLL
    d_q$t_$e = fma(vec4(d_s$t_$j), k$j_$e, d_q$t_$e);
#end
#end
#end
//:
    }
#if DIRECT
#else
  }
#end
#for t in 0..$TOKENS
  if tile_start + $tu * $WORKGROUP_SIZEu + local_invocation_index < chunk.count {
#for e in 0..$HEAD_VEC4S
//: reduce
    if block > first_key { d_q$t_$e += floats(d_q$[d_q_at$t + $eu]); }
//: store
    d_q$[d_q_at$t + $eu] = quad(d_q$t_$e);
//:
#end
  }
#end
  block = block_end;
  }
#for t in 0..$TOKENS
//: store
  if tile_start + $tu * $WORKGROUP_SIZEu + local_invocation_index < chunk.count { stats$[stats_at$t] = vec2(log_sum$t, delta$t); }
//:
#end
}
