// Turns the pairs (e, e + E/2) of every head by the angle of its token's position; backwards if `direction` is -1.
// A position is 64 · coarse + fine, and its angle the sum of theirs, each of which the table has.

struct Params { half: u32, head_stride: u32, row_pairs: u32, row_stride: u32, x_period: u32, direction: f32 }

@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> segment_start: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  let row = i / params.row_pairs;
  let pair = i % params.row_pairs;
  if row >= chunk.count { return; }
  let token = chunk.start + row;
  let position = token - segment_start[token];
  let e = pair % params.half;
  let fine = table[(position % TOKEN_TILE) * params.half + e];
  let coarse = table[(TOKEN_TILE + position / TOKEN_TILE) * params.half + e];
  let cosine = coarse.x * fine.x - coarse.y * fine.y;
  let sine = params.direction * (coarse.y * fine.x + coarse.x * fine.y);
  let first = (first_row(params.x_period) + row) * params.row_stride + pair / params.half * params.head_stride + e;
  let second = first + params.half;
  let a = x[first];
  let b = x[second];
  x[first] = a * cosine - b * sine;
  x[second] = b * cosine + a * sine;
}
