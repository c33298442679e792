// Adds the contributions of the chunk's queries to d_k and d_v (N×K·E): d_v[j] += sum of p · d_out[i], d_k[j] += scale · sum of d_s · q[i],
// over the queries i to which key j is visible, from last to first, and over the query heads that share the key. A thread owns $TOKENS keys
// of one key/value head. Threads share queries as attention.wgsl shares keys. Each tile of queries is summed on its own and then added to
// d_k and d_v, so a chunk boundary is only one of these additions.
#include attention_key_value_grad_operands

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let chunk_end = chunk.start + chunk.count;
  let first_key = (max(first_in_window$(chunk.start), chunk.first_key) / TOKEN_TILE + workgroup_id.x) * TOKEN_TILE;
  let last_key = min(first_key + TOKEN_TILE, chunk_end) - 1u;
  // The sequence of the chunk's queries may begin after these keys.
  if first_visible$(chunk.start) > last_key { return; }
  // A tile never wraps around the end of a ring.
  let first_key_row = first_key % params$.keys_row_modulus;
  let first_grad_row = first_key % params$.d_keys_row_modulus;
#for t in 0..$TOKENS
  let key$t = min(first_key + $tu * $WORKGROUP_SIZEu + local_invocation_index, last_key);
  let at$t = (first_key_row + key$t - first_key) * params$.keys_row_vec4s + workgroup_id.y * params$.head_vec4s;
  let d_at$t = (first_grad_row + key$t - first_key) * params$.keys_row_vec4s + workgroup_id.y * params$.head_vec4s;
//: load
#for e in 0..$HEAD_VEC4S
  let k$t_$e = load_k$(at$t + $eu);
  let v$t_$e = load_v$(at$t + $eu);
  var all_d_k$t_$e = floats(d_k$[d_at$t + $eu]);
  var all_d_v$t_$e = floats(d_v$[d_at$t + $eu]);
#end
//:
#end
  let q_row = first_row(params$.q_row_modulus);
  let d_out_row = first_row(params$.d_out_row_modulus);
  let stats_row = first_row(params$.stats_row_modulus);
  let first_tile = max(first_key, chunk.start) / TOKEN_TILE;
  let last_tile = (chunk_end + TOKEN_TILE - 1u) / TOKEN_TILE;
  // A tile of queries has several parts if so many heads share a key that it has more terms than a sum may have.
  for (var part = last_tile * $PARTSu; part > first_tile * $PARTSu; part--) {
    let tile = (part - 1u) / $PARTSu + 1u;
    let first_query = max((tile - 1u) * TOKEN_TILE, chunk.start);
    if first_visible$(first_query) > last_key || is_left_out(labelled_only$, first_query - chunk.start) { continue; }
#for t in 0..$TOKENS
#for e in 0..$HEAD_VEC4S
    var d_k$t_$e = vec4(0.0);
    var d_v$t_$e = vec4(0.0);
#end
#end
    // Always a whole tile, so that every tile runs the same code; to queries past the end no key is visible. For each $STEP queries it goes
    // through the heads. It is a single loop because some drivers copy the loop-carried variables of each loop of a nest.
    let begin_n = (tile * $PARTSu - part) * $PART_STEPSu;
    for (var n = begin_n; n < min(begin_n + $PART_STEPSu, TOKEN_TILE / $STEPu * params$.num_key_value_groups); n++) {
      let last = tile * TOKEN_TILE - 1u - n / params$.num_key_value_groups * $STEPu;
      let head = workgroup_id.y * params$.num_key_value_groups + n % params$.num_key_value_groups;
#if SUBGROUP
      let my_token = clamp(last - subgroup_invocation_id, chunk.start, chunk_end - 1u);
      let my_row = my_token - chunk.start;
      let my_first_key = first_visible$(my_token);
      let q_at = ((q_row + my_row) * params$.heads + head) * params$.head_vec4s;
      let d_out_at = ((d_out_row + my_row) * params$.heads + head) * params$.head_vec4s;
//: load
      let my_stats = stats$[(stats_row + my_row) * params$.heads + head];
#for e in 0..$HEAD_VEC4S
      let my_q$e = load_q$(q_at + $eu);
      let my_d_out$e = floats(d_out$[d_out_at + $eu]);
#end
//:
#end
#if DIRECT
      {
      const begin = 0u;
#else
      for (var begin = 0u; begin < $STEPu; begin += $UNROLLu) {
#end
#for j in 0..$UNROLL
      let query$j = last - begin - $ju;
      let token$j = clamp(query$j, chunk.start, chunk_end - 1u);
#if SUBGROUP
      let first_seen$j = subgroupShuffle(my_first_key, begin + $ju);
      let log_sum_and_delta$j = subgroupShuffle(my_stats, begin + $ju);
#else
      let row$j = token$j - chunk.start;
      let first_seen$j = first_visible$(token$j);
//: load
      let log_sum_and_delta$j = stats$[(stats_row + row$j) * params$.heads + head];
//:
#end
#if DIRECT
      let q_at$j = ((q_row + row$j) * params$.heads + head) * params$.head_vec4s;
      let d_out_at$j = ((d_out_row + row$j) * params$.heads + head) * params$.head_vec4s;
#end
#for t in 0..$TOKENS
      var s$t_$j = 0.0;
      var d_p$t_$j = 0.0;
#end
#for e in 0..$HEAD_VEC4S
//: load
#if SUBGROUP
      let q$j_$e = subgroupShuffle(my_q$e, begin + $ju);
      let d_out$j_$e = subgroupShuffle(my_d_out$e, begin + $ju);
#end
#if DIRECT
      let q$j_$e = load_q$(q_at$j + $eu);
      let d_out$j_$e = floats(d_out$[d_out_at$j + $eu]);
#end
//: multiply
#for t in 0..$TOKENS
      s$t_$j = multiply_add(q$j_$e, k$t_$e, s$t_$j);
      d_p$t_$j = multiply_add(d_out$j_$e, v$t_$e, d_p$t_$j);
#end
//:
#end
#for t in 0..$TOKENS
      let sees$t_$j = query$j == token$j && key$t <= token$j && key$t >= first_seen$j;
//: multiply
      let p$t_$j = select(0.0, weight$(s$t_$j, log_sum_and_delta$j.x), sees$t_$j);
      let d_s$t_$j = select(0.0, p$t_$j * (d_p$t_$j - log_sum_and_delta$j.y) * params$.scale, sees$t_$j);
#end
//:
#end
//: multiply
#for e in 0..$HEAD_VEC4S
#for t in 0..$TOKENS
#for j in 0..$UNROLL
      d_v$t_$e = fma(vec4(p$t_$j), d_out$j_$e, d_v$t_$e);
      d_k$t_$e = fma(vec4(d_s$t_$j), q$j_$e, d_k$t_$e);
#end
#end
#end
//:
      }
    }
//: reduce
#for t in 0..$TOKENS
#for e in 0..$HEAD_VEC4S
    all_d_k$t_$e += d_k$t_$e;
    all_d_v$t_$e += d_v$t_$e;
#end
#end
//:
  }
#for t in 0..$TOKENS
  if first_key + $tu * $WORKGROUP_SIZEu + local_invocation_index <= last_key {
//: store
#for e in 0..$HEAD_VEC4S
    d_k$[d_at$t + $eu] = quad(all_d_k$t_$e);
    d_v$[d_at$t + $eu] = quad(all_d_v$t_$e);
#end
//:
  }
#end
}
