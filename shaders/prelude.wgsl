// Precedes every shader. Lines that start with # are directives of src/gpu/shader.rs, which unrolls the loops: registers must have names,
// since many drivers put an array that is indexed by a loop variable into memory.

// The chunk: the index of its first token in the batch, and its number of tokens.
struct Chunk { start: u32, count: u32 }

@group(0) @binding(1) var<uniform> chunk: Chunk;

// Sums over tokens are split at multiples of this, counted from the start of the batch.
const TOKEN_TILE: u32 = 64u;
// Threads of a workgroup in elementwise kernels.
const WORKGROUP_SIZE: u32 = 64u;

// The index of the workgroup in a grid that Grid folded into two dimensions because one was too short.
fn flat_workgroup(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>) -> u32 {
  return workgroup_id.y * num_workgroups.x + workgroup_id.x;
}

// The first row of the chunk in a tensor: its first token in a tensor of the whole batch (row modulus 2^32 − 1, longer than any batch), 0
// in a tensor of one chunk (row modulus 1), and the token modulo the length of a ring.
fn first_row(row_modulus: u32) -> u32 {
  return chunk.start % row_modulus;
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
