// d_q, and stats[i, h].y = d_out · out of the row. With p = exp(s − log_sum) recomputed for every visible key:
// d_s = p · (d_out · v − stats.y), d_q = scale · sum of d_s · k. A thread has a query row of one head.

struct Params {
  head_vec4s: u32,
  heads: u32,
  queries_per_key: u32,
  keys_row_vec4s: u32,
  scale: f32,
  q_absolute: u32,
  out_absolute: u32,
  d_out_absolute: u32,
  stats_absolute: u32,
  d_q_absolute: u32,
}

@group(0) @binding(2) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> k: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> segment_start: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> stats: array<vec2<f32>>;
@group(0) @binding(9) var<storage, read_write> d_q: array<vec4<f32>>;

fn head_at(is_absolute: u32, row: u32, head: u32) -> u32 {
  return ((first_row(is_absolute) + row) * params.heads + head) * params.head_vec4s;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let tile_start = workgroup.x * TOKEN_TILE;
  let head = workgroup.y;
  let row = min(tile_start + lane, chunk.count - 1u);
  let token = chunk.start + row;
  let first_key = segment_start[token];
  let last_key = chunk.start + min(tile_start + TOKEN_TILE, chunk.count) - 1u;

  let q_at = head_at(params.q_absolute, row, head);
  let d_out_at = head_at(params.d_out_absolute, row, head);
  let out_at = head_at(params.out_absolute, row, head);
  let stats_at = (first_row(params.stats_absolute) + row) * params.heads + head;
  let log_sum = stats[stats_at].x;
  var around = 0.0;
#for e in 0..$HEAD_VEC4S
  let q$e = q[q_at + $eu];
  let d_out$e = d_out[d_out_at + $eu];
  around += dot(d_out$e, out[out_at + $eu]);
  var d_q$e = vec4(0.0);
#end
  let head_offset = head / params.queries_per_key * params.head_vec4s;
  for (var key = segment_start[chunk.start + tile_start]; key <= last_key; key++) {
    let at = key * params.keys_row_vec4s + head_offset;
    var s = 0.0;
    var d_p = 0.0;
#for e in 0..$HEAD_VEC4S
    let k$e = k[at + $eu];
    s += dot(q$e, k$e);
    d_p += dot(d_out$e, v[at + $eu]);
#end
    let sees = key >= first_key && key <= token;
    let p = exp(min(s * params.scale - log_sum, 0.0));
    let d_s = select(0.0, p * (d_p - around) * params.scale, sees);
#for e in 0..$HEAD_VEC4S
    d_q$e = fma(vec4(d_s), k$e, d_q$e);
#end
  }
  if tile_start + lane >= chunk.count { return; }
  let d_q_at = head_at(params.d_q_absolute, row, head);
#for e in 0..$HEAD_VEC4S
  d_q[d_q_at + $eu] = d_q$e;
#end
  stats[stats_at] = vec2(log_sum, around);
}
