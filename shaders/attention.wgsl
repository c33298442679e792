// out = softmax(q · kᵀ · scale) · v over the keys that a query sees; stats[i, h].x = the log of the sum of exponentials.
// A thread has $TOKENS query rows of one head. All threads of a workgroup look at the same $AT_ONCE keys at once, with one running maximum
// (online softmax), so no row of scores is ever in memory. Either each thread reads them, or each thread of a subgroup reads one and
// tells the others, or the workgroup reads many into its own memory.
#include scores
#include words

struct Params {
  head_vec4s: u32,
  heads: u32,
  queries_per_key: u32,
  keys_row_vec4s: u32,
  keys_period: u32,
  scale: f32,
  softcap: f32,
  window: u32,
  q_period: u32,
  out_period: u32,
  stats_period: u32,
}

const LOWEST: f32 = -1e30;

@group(0) @binding(2) var<storage, read_write> q: array<Quad>;
@group(0) @binding(3) var<storage, read_write> k: array<Quad>;
@group(0) @binding(4) var<storage, read_write> v: array<Quad>;
@group(0) @binding(5) var<storage, read> segment_start: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<Quad>;
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>;

#if STAGED
var<workgroup> k_tile: array<vec4<f32>, $STEPu * $HEAD_VEC4Su>;
var<workgroup> v_tile: array<vec4<f32>, $STEPu * $HEAD_VEC4Su>;
#end

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let tile_start = workgroup.x * TOKEN_TILE;
  let head = workgroup.y;
  let last_key = chunk.start + min(tile_start + TOKEN_TILE, chunk.count) - 1u;
  let q_row = first_row(params.q_period);
  let out_row = first_row(params.out_period);
  let stats_row = first_row(params.stats_period);
#for t in 0..$TOKENS
  let row$t = min(tile_start + $tu * $LANESu + lane, chunk.count - 1u);
  let token$t = chunk.start + row$t;
  let first_key$t = first_visible(token$t);
  let q_at$t = ((q_row + row$t) * params.heads + head) * params.head_vec4s;
  var most$t = LOWEST;
  var sum$t = 0.0;
#for e in 0..$HEAD_VEC4S
  let q$t_$e = floats(q[q_at$t + $eu]);
  var o$t_$e = vec4(0.0);
#end
#end
  let head_offset = head / params.queries_per_key * params.head_vec4s;
  // Blocks start at multiples of their length, so that a row's sums are cut in the same places wherever its chunk starts.
  let first_key = first_visible(chunk.start + tile_start) / $AT_ONCEu * $AT_ONCEu;
  let first_key_row = first_key % params.keys_period;
#if STAGED
  for (var from_key = first_key; from_key <= last_key; from_key += $STEPu) {
    for (var i = lane; i < $STEPu * $HEAD_VEC4Su; i += $LANESu) {
      let row = around(first_key_row + min(from_key + i / $HEAD_VEC4Su, last_key) - first_key);
      let at = row * params.keys_row_vec4s + head_offset + i % $HEAD_VEC4Su;
      k_tile[i] = floats(k[at]);
      v_tile[i] = floats(v[at]);
    }
    workgroupBarrier();
    for (var key = from_key; key < from_key + $STEPu; key += $AT_ONCEu) {
#else
    for (var key = first_key; key <= last_key; key += $AT_ONCEu) {
#end
    // A key behind the last one is behind every query of the tile, and so hidden.
#if SUBGROUP
    let at = around(first_key_row + min(key + place, last_key) - first_key) * params.keys_row_vec4s + head_offset;
#end
#for j in 0..$AT_ONCE
#if STAGED
    let at$j = (key - from_key + $ju) * $HEAD_VEC4Su;
#end
#if DIRECT
    let at$j = around(first_key_row + min(key + $ju, last_key) - first_key) * params.keys_row_vec4s + head_offset;
#end
#for t in 0..$TOKENS
    var s$t_$j = 0.0;
#end
#end
#for e in 0..$HEAD_VEC4S
#if SUBGROUP
    let my_k$e = floats(k[at + $eu]);
#end
#for j in 0..$AT_ONCE
#if SUBGROUP
    let k$j_$e = subgroupBroadcast(my_k$e, $ju);
#end
#if STAGED
    let k$j_$e = k_tile[at$j + $eu];
#end
#if DIRECT
    let k$j_$e = floats(k[at$j + $eu]);
#end
#for t in 0..$TOKENS
    s$t_$j = multiply_add(q$t_$e, k$j_$e, s$t_$j);
#end
#end
#end
#for t in 0..$TOKENS
    var new_most$t = most$t;
#for j in 0..$AT_ONCE
    let sees$t_$j = key + $ju >= first_key$t && key + $ju <= token$t;
    s$t_$j = select(LOWEST, score(s$t_$j), sees$t_$j);
    new_most$t = max(new_most$t, s$t_$j);
#end
    let shrink$t = exp(most$t - new_most$t);
    most$t = new_most$t;
    sum$t *= shrink$t;
#for j in 0..$AT_ONCE
    let p$t_$j = select(0.0, exp(s$t_$j - most$t), sees$t_$j);
    sum$t += p$t_$j;
#end
#end
#for e in 0..$HEAD_VEC4S
#if SUBGROUP
    let my_v$e = floats(v[at + $eu]);
#end
#for t in 0..$TOKENS
    o$t_$e *= shrink$t;
#end
#for j in 0..$AT_ONCE
#if SUBGROUP
    let v$j_$e = subgroupBroadcast(my_v$e, $ju);
#end
#if STAGED
    let v$j_$e = v_tile[at$j + $eu];
#end
#if DIRECT
    let v$j_$e = floats(v[at$j + $eu]);
#end
#for t in 0..$TOKENS
    o$t_$e = fma(vec4(p$t_$j), v$j_$e, o$t_$e);
#end
#end
#end
    }
#if STAGED
    workgroupBarrier();
  }
#end
#for t in 0..$TOKENS
  if tile_start + $tu * $LANESu + lane < chunk.count {
    let out_at = ((out_row + row$t) * params.heads + head) * params.head_vec4s;
#for e in 0..$HEAD_VEC4S
    out[out_at + $eu] = quad(o$t_$e / sum$t);
#end
    stats[(stats_row + row$t) * params.heads + head] = vec2(most$t + log(sum$t), 0.0);
  }
#end
}
