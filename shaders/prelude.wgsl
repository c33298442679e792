// Stands in front of every shader. A line that starts with # is for src/gpu/shader.rs, which writes the loops out:
// registers must have names, since an array indexed by a loop's variable lies in memory on many drivers.

// The tokens at work: `start` is the first one's place in the batch, `count` how many there are.
struct Chunk { start: u32, count: u32 }

@group(0) @binding(1) var<uniform> chunk: Chunk;

// Every sum over tokens is cut at multiples of this, counted from the start of the batch.
const TOKEN_TILE: u32 = 64u;
// Threads of a workgroup where each thread has elements of its own.
const WORKGROUP_SIZE: u32 = 64u;

// A grid of more workgroups than one dimension may have is folded into two.
fn flat_workgroup(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>) -> u32 {
  return workgroup_id.y * num_workgroups.x + workgroup_id.x;
}

// Where the chunk's rows start in a tensor whose rows begin anew after so many tokens: at its first token in one that holds the whole
// batch (no batch is that long), at 0 in one that holds a chunk (the period is 1).
fn first_row(row_modulus: u32) -> u32 {
  return chunk.start % row_modulus;
}

// Tiles of the tokens at work; the last one may have fewer.
fn token_tiles() -> u32 {
  return (chunk.count + TOKEN_TILE - 1u) / TOKEN_TILE;
}

// The same number, for the turns of a loop. Where these are a parameter as it stands, lavapipe writes the kernel out for its value and
// compiles that, again at every dispatch; it does not see through this.
fn opaque_bound(count: u32, workgroup_id: vec3<u32>) -> u32 {
  return min(count, workgroup_id.x | 0x80000000u);
}
