// Precedes every shader. Lines that start with # are directives of src/gpu/shader.rs, which unrolls the loops: registers must have names,
// since many drivers put an array that is indexed by a loop variable into memory.

// The chunk, or the part of it that one dispatch is for: the index of its first token in the batch, and its number of tokens; the tokens of
// the chunk before them; the keys that an attention kernel goes through, from one multiple of SUM_BLOCK to another; a bit for each token tile
// of the batch, or for so many at once: has it a label?; and the first token of this rank.
struct Chunk {
  start: u32,
  count: u32,
  tokens_before: u32,
  first_key: u32,
  end_key: u32,
  tiles_of_bit: u32,
  first_token: u32,
  labelled: array<vec4<u32>, 14>,
}

@group(0) @binding(1) var<uniform> chunk: Chunk;

// Sums over tokens are split at multiples of this, counted from the start of the batch.
const TOKEN_TILE: u32 = 64u;
// Threads of a workgroup in elementwise kernels.
const WORKGROUP_SIZE: u32 = 64u;

// The index of the workgroup in a grid that Grid folded into two dimensions because one was too short.
fn flat_workgroup(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>) -> u32 {
  return workgroup_id.y * num_workgroups.x + workgroup_id.x;
}

// The row of a token in a tensor of tokens: that token in a tensor of the whole batch (row modulus 2^31 − 1, longer than any batch), and the
// token modulo the length of a ring or a piece. With the highest bit set, tokens are counted from the first one of this rank.
fn row_of(token: u32, row_modulus: u32) -> u32 {
  return (token - select(0u, chunk.first_token, row_modulus >= 0x80000000u)) % (row_modulus & 0x7fffffffu);
}

// The row of the first token: the tokens of the chunk before it in a tensor of one chunk (row modulus 1), else its own.
fn first_row(row_modulus: u32) -> u32 {
  return select(row_of(chunk.start, row_modulus), chunk.tokens_before, row_modulus == 1u);
}

// sum + a · b, term by term in a fixed order. A product that is added is always an fma: otherwise each compiler decides for each kernel
// whether it rounds the product first.
fn multiply_add(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// e to the power of what can only be positive by rounding. NaN stays NaN, which min would not promise.
fn exp_of_negative(x: vec4<f32>) -> vec4<f32> {
  return exp(select(x, vec4(0.0), x > vec4(0.0)));
}

// Does an operation that is for tokens with labels only leave out the token tile of a row? Rows are counted from the first of the dispatch.
fn is_left_out(labelled_only: u32, row: u32) -> bool {
  if labelled_only == 0u { return false; }
  let bit = (chunk.start + row) / TOKEN_TILE / chunk.tiles_of_bit;
  return (chunk.labelled[bit / 128u][bit / 32u % 4u] & (1u << (bit % 32u))) == 0u;
}

// Of the first `count` token tiles, those up to the last one that is not left out.
fn tiles_with_work(labelled_only: u32, count: u32) -> u32 {
  var tiles = count;
  while tiles > 0u && is_left_out(labelled_only, (tiles - 1u) * TOKEN_TILE) { tiles--; }
  return tiles;
}

// The number of token tiles of the chunk; the last one may be shorter.
fn token_tiles() -> u32 {
  return (chunk.count + TOKEN_TILE - 1u) / TOKEN_TILE;
}

// The same number, as the bound of a loop. If the bound is a plain parameter, lavapipe specialises the kernel for its value and recompiles
// it at every dispatch. It cannot see through this expression.
fn opaque_bound(count: u32, workgroup_id: vec3<u32>) -> u32 {
  return min(count, workgroup_id.x | 0x80000000u);
}
