// Turns the pairs (e, e + E/2) of every head by the angle of its token's position; backwards if `direction` is -1.
// A position is 64 · coarse + fine, and its angle the sum of theirs, each of which the table has. A thread has a pair of a token, or four
// of them where rows of pairs can be cut so, in all heads: their angle is the same.

struct Params { half: u32, head_stride: u32, heads: u32, row_stride: u32, x_period: u32, direction: f32 }

#if WIDE
alias Some = vec4<f32>;
alias Turns = vec4<f32>;
#else
alias Some = f32;
alias Turns = vec2<f32>;
#end

@group(0) @binding(2) var<storage, read_write> x: array<Some>;
@group(0) @binding(3) var<storage, read> segment_start: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<Turns>;

struct Turn { cosine: Some, sine: Some }

// The turn of the pairs from e on, in a row of the table.
fn turn_at(row: u32, e: u32) -> Turn {
#if WIDE
  let low = table[2u * (row * params.half + e)];
  let high = table[2u * (row * params.half + e) + 1u];
  return Turn(vec4(low.xz, high.xz), vec4(low.yw, high.yw));
#else
  let turn = table[row * params.half + e];
  return Turn(turn.x, turn.y);
#end
}

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  let row = i / params.half;
  let e = i % params.half;
  if row >= chunk.count { return; }
  let token = chunk.start + row;
  let position = token - segment_start[token];
  let fine = turn_at(position % TOKEN_TILE, e);
  let coarse = turn_at(TOKEN_TILE + position / TOKEN_TILE, e);
  let cosine = coarse.cosine * fine.cosine - coarse.sine * fine.sine;
  let sine = params.direction * (coarse.sine * fine.cosine + coarse.cosine * fine.sine);
  let heads = turns(params.heads, workgroup);
  for (var head = 0u; head < heads; head++) {
    let first = (first_row(params.x_period) + row) * params.row_stride + head * params.head_stride + e;
    let second = first + params.half;
    let a = x[first];
    let b = x[second];
    x[first] = a * cosine - b * sine;
    x[second] = b * cosine + a * sine;
  }
}
