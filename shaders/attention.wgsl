// out = softmax(q · kᵀ · scale) · v over the keys that are visible to a query (C×H·E); stats[i, h].x = log-sum-exp of the row (C×H×2).
// A thread has $TOKENS query rows of one head. All threads of a workgroup process the same $UNROLL keys per iteration with a running
// maximum (online softmax, as in FlashAttention, Dao et al. 2022), so no row of scores is ever in memory. With DIRECT each thread loads the
// keys, with SUBGROUP each thread of a subgroup loads one and broadcasts it. For GPUs there is attention_tiled.wgsl.
// Each block of keys is summed on its own; out and stats hold the sums of the blocks so far, and the maximum that they refer to.
#include attention_operands

const LOWEST$: f32 = -1e30;

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let tile_start = workgroup_id.x * TOKEN_TILE;
  if is_left_out(labelled_only$, tile_start) { return; }
  let head = workgroup_id.y;
  let last_key = chunk.start + min(tile_start + TOKEN_TILE, chunk.count) - 1u;
  let q_row = first_row(params$.q_row_modulus);
  let out_row = first_row(params$.out_row_modulus);
  let stats_row = first_row(params$.stats_row_modulus);
#for t in 0..$TOKENS
  let row$t = min(tile_start + $tu * $WORKGROUP_SIZEu + local_invocation_index, chunk.count - 1u);
  let token$t = chunk.start + row$t;
  let first_key$t = first_visible$(token$t);
  let q_at$t = ((q_row + row$t) * params$.heads + head) * params$.head_vec4s;
//: load
#for e in 0..$HEAD_VEC4S
  let q$t_$e = load_q$(q_at$t + $eu);
#end
//:
#end
  let head_offset = head / params$.num_key_value_groups * params$.head_vec4s;
  // Keys are loaded from multiples of how many are loaded together, so that a row's sums are split in the same places wherever its chunk
  // starts.
  let first_key = first_visible$(chunk.start + tile_start) / $STEPu * $STEPu;
  // Of the blocks of keys, those that this dispatch is for. The bound depends on the workgroup, so that lavapipe does not specialise for it.
  let end_key = min(last_key + 1u, chunk.end_key);
  let begin_key = max(first_key, chunk.first_key);
  let begin_row = begin_key % params$.keys_row_modulus;
  var block = begin_key;
  while block < end_key {
  let block_end = min((block / $BLOCKu + 1u) * $BLOCKu, last_key + 1u);
#for t in 0..$TOKENS
  var row_max$t = LOWEST$;
  var row_sum$t = 0.0;
#for e in 0..$HEAD_VEC4S
  var o$t_$e = vec4(0.0);
#end
#end
    for (var key = block; key < block_end; key += $UNROLLu) {
    // Keys past the last one come after every query of the tile, so they are masked.
#if SUBGROUP
    let at = wrap$(begin_row + min(key + subgroup_invocation_id, last_key) - begin_key) * params$.keys_row_vec4s + head_offset;
#end
#for j in 0..$UNROLL
#if DIRECT
    let at$j = wrap$(begin_row + min(key + $ju, last_key) - begin_key) * params$.keys_row_vec4s + head_offset;
#end
#for t in 0..$TOKENS
    var s$t_$j = 0.0;
#end
#end
#for e in 0..$HEAD_VEC4S
//: load
#if SUBGROUP
    let my_k$e = load_k$(at + $eu);
#end
#for j in 0..$UNROLL
#if SUBGROUP
    let k$j_$e = subgroupBroadcast(my_k$e, $ju);
#end
#if DIRECT
    let k$j_$e = load_k$(at$j + $eu);
#end
//: multiply
#for t in 0..$TOKENS
    s$t_$j = multiply_add(q$t_$e, k$j_$e, s$t_$j);
#end
#end
//:
#end
//: reduce
#for t in 0..$TOKENS
    var new_row_max$t = row_max$t;
#for j in 0..$UNROLL
    let sees$t_$j = key + $ju >= first_key$t && key + $ju <= token$t;
    s$t_$j = select(LOWEST$, score$(s$t_$j), sees$t_$j);
    new_row_max$t = max(new_row_max$t, s$t_$j);
#end
    let rescale$t = exp(row_max$t - new_row_max$t);
    row_max$t = new_row_max$t;
    var of_keys$t = 0.0;
#for j in 0..$UNROLL
    let p$t_$j = select(0.0, exp(s$t_$j - row_max$t), sees$t_$j);
    of_keys$t += p$t_$j;
#end
    row_sum$t = fma(row_sum$t, rescale$t, of_keys$t);
#end
//:
#for e in 0..$HEAD_VEC4S
#if SUBGROUP
//: load
    let my_v$e = load_v$(at + $eu);
//:
#end
//: reduce
#for t in 0..$TOKENS
    o$t_$e *= rescale$t;
#end
//: load
#for j in 0..$UNROLL
#if SUBGROUP
    let v$j_$e = subgroupBroadcast(my_v$e, $ju);
#end
#if DIRECT
    let v$j_$e = load_v$(at$j + $eu);
#end
//: multiply
#for t in 0..$TOKENS
    o$t_$e = fma(vec4(p$t_$j), v$j_$e, o$t_$e);
#end
#end
//:
#end
    }
#for t in 0..$TOKENS
  if tile_start + $tu * $WORKGROUP_SIZEu + local_invocation_index < chunk.count {
    let out_at = ((out_row + row$t) * params$.heads + head) * params$.head_vec4s;
    let stats_at = (stats_row + row$t) * params$.heads + head;
//: reduce
    if block > first_key {
      let before = stats$[stats_at];
      let new_row_max = max(before.x, row_max$t);
      let rescale = exp(row_max$t - new_row_max);
      let rescale_before = exp(before.x - new_row_max);
      row_max$t = new_row_max;
      row_sum$t = fma(row_sum$t, rescale, before.y * rescale_before);
#for e in 0..$HEAD_VEC4S
      o$t_$e = fma(o$t_$e, vec4(rescale), floats(out$[out_at + $eu]) * rescale_before);
#end
    }
//: store
    if block_end > last_key {
#for e in 0..$HEAD_VEC4S
      o$t_$e /= row_sum$t;
#end
    }
#for e in 0..$HEAD_VEC4S
    out$[out_at + $eu] = quad(o$t_$e);
#end
    stats$[stats_at] = select(vec2(row_max$t, row_sum$t), vec2(row_max$t + log(row_sum$t), 0.0), block_end > last_key);
//:
  }
#end
  block = block_end;
  }
}
