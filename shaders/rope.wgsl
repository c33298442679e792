// Rotates the pairs (e, e + E/2) of every head by the angle of the token's position, by the negative angle if `direction` is -1. A position
// is 64 · coarse + fine; its angle is the sum of their angles, which the table has. Coarse cosines and sines are multiplied by the
// embedding's factor. If E/2 is a multiple of four (WIDE), a thread has four pairs of a token in all heads, which share the angle; otherwise all
// pairs of a token in one head, which it stores one by one.
// With TILE_VEC4S the workgroup goes on with its tile of x, which it has just computed, and has the heads in it.

struct Params$ { half: u32, head_stride: u32, heads: u32, row_stride: u32, x_row_modulus: u32, direction: f32 }

#if WIDE
alias Elements$ = vec4<f32>;
alias TableEntry$ = vec4<f32>;
#else
alias Elements$ = f32;
alias TableEntry$ = vec2<f32>;
#end

#tensor x // (C×heads·E)
@group(0) @binding(segment_start$) var<storage, read> segment_start$: array<u32>; // (N)
@group(0) @binding(table$) var<storage, read> table$: array<TableEntry$>; // cosines and sines by position

#if WIDE
fn elements_at$(at: u32) -> Elements$ {
  return load_x$(at);
}

fn put_elements$(at: u32, elements: Elements$) {
  store_x$(at, elements);
}
#else
fn elements_at$(at: u32) -> Elements$ {
  return load_x$(at / 4u)[at % 4u];
}

fn put_elements$(at: u32, elements: Elements$) {
  var four = load_x$(at / 4u);
  four[at % 4u] = elements;
  store_x$(at / 4u, four);
}
#end

struct Rotation$ { cosine: Elements$, sine: Elements$ }

// The rotation of the pairs from e on, in a row of the table.
fn rotation_at$(row: u32, e: u32) -> Rotation$ {
#if WIDE
  let low = table$[2u * (row * params$.half + e)];
  let high = table$[2u * (row * params$.half + e) + 1u];
  return Rotation$(vec4(low.xz, high.xz), vec4(low.yw, high.yw));
#else
  let entry = table$[row * params$.half + e];
  return Rotation$(entry.x, entry.y);
#end
}

// Rotates the pairs from e on of some heads of a row of the chunk.
fn rotate$(row: u32, e: u32, first_head: u32, heads: u32) {
  let token = chunk.start + row;
  let position = token - segment_start$[token];
  let fine = rotation_at$(position % TOKEN_TILE, e);
  let coarse = rotation_at$(TOKEN_TILE + position / TOKEN_TILE, e);
  let cosine = fma(coarse.cosine, fine.cosine, -(coarse.sine * fine.sine));
  let sine = params$.direction * fma(coarse.sine, fine.cosine, coarse.cosine * fine.sine);
  for (var head = first_head; head < heads; head++) {
    let first = (first_row(params$.x_row_modulus) + row) * params$.row_stride + head * params$.head_stride + e;
    let second = first + params$.half;
    let a = elements_at$(first);
    let b = elements_at$(second);
    put_elements$(first, fma(a, cosine, -(b * sine)));
    put_elements$(second, fma(b, cosine, a * sine));
  }
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
#if TILE_VEC4S
  if is_left_out(labelled_only$, workgroup_id.x * TOKEN_TILE) { return; }
  let heads_of_tile = $TILE_VEC4Su / params$.head_stride;
  let first_head = workgroup_id.y * heads_of_tile;
  for (var i = local_invocation_index; i < TOKEN_TILE * params$.half; i += $TILE_THREADSu) {
    let row = workgroup_id.x * TOKEN_TILE + i / params$.half;
    if row < chunk.count { rotate$(row, i % params$.half, first_head, min(first_head + heads_of_tile, params$.heads)); }
  }
#else
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
#if WIDE
  let row = i / params$.half;
  if row < chunk.count && !is_left_out(labelled_only$, row) { rotate$(row, i % params$.half, 0u, opaque_bound(params$.heads, workgroup_id)); }
#else
  let row = i / params$.heads;
  let head = i % params$.heads;
  if row >= chunk.count || is_left_out(labelled_only$, row) { return; }
  for (var e = 0u; e < opaque_bound(params$.half, workgroup_id); e++) { rotate$(row, e, head, head + 1u); }
#end
#end
}
