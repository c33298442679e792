// out = softmax(q · kᵀ · scale) · v over the keys that a query sees; stats[i, h].x = the log of the sum of exponentials.
// A thread has a query row of one head. All threads of a workgroup read the same key at the same time, four keys at once,
// with one running maximum (online softmax), so no row of scores is ever in memory.

struct Params {
  head_vec4s: u32,
  heads: u32,
  queries_per_key: u32,
  keys_row_vec4s: u32,
  scale: f32,
  q_absolute: u32,
  out_absolute: u32,
  stats_absolute: u32,
}

const LOWEST: f32 = -1e30;

@group(0) @binding(2) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> k: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> segment_start: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let tile_start = workgroup.x * TOKEN_TILE;
  let head = workgroup.y;
  let row = min(tile_start + lane, chunk.count - 1u);
  let token = chunk.start + row;
  let first_key = segment_start[token];
  let last_key = chunk.start + min(tile_start + TOKEN_TILE, chunk.count) - 1u;

  let q_at = ((first_row(params.q_absolute) + row) * params.heads + head) * params.head_vec4s;
#for e in 0..$HEAD_VEC4S
  let q$e = q[q_at + $eu];
  var o$e = vec4(0.0);
#end
  var most = LOWEST;
  var sum = 0.0;
  let head_offset = head / params.queries_per_key * params.head_vec4s;
  // Blocks of four start at multiples of four, so that a row's sums are cut in the same places wherever its chunk starts.
  for (var key = segment_start[chunk.start + tile_start] / 4u * 4u; key <= last_key; key += 4u) {
#for j in 0..4
    // A key behind the last one is behind every query of the tile, and so hidden.
    let at$j = min(key + $ju, last_key) * params.keys_row_vec4s + head_offset;
    var s$j = 0.0;
#for e in 0..$HEAD_VEC4S
    s$j += dot(q$e, k[at$j + $eu]);
#end
    let sees$j = key + $ju >= first_key && key + $ju <= token;
    s$j = select(LOWEST, s$j * params.scale, sees$j);
#end
    let new_most = max(most, max(max(s0, s1), max(s2, s3)));
    let shrink = exp(most - new_most);
    most = new_most;
#for j in 0..4
    let p$j = select(0.0, exp(s$j - most), sees$j);
#end
    sum = sum * shrink + ((p0 + p1) + (p2 + p3));
#for e in 0..$HEAD_VEC4S
    o$e *= shrink;
#for j in 0..4
    o$e = fma(vec4(p$j), v[at$j + $eu], o$e);
#end
#end
  }
  if tile_start + lane >= chunk.count { return; }
  let out_at = ((first_row(params.out_absolute) + row) * params.heads + head) * params.head_vec4s;
#for e in 0..$HEAD_VEC4S
  out[out_at + $eu] = o$e / sum;
#end
  stats[(first_row(params.stats_absolute) + row) * params.heads + head] = vec2(most + log(sum), 0.0);
}
