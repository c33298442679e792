// The key and value gradient of attention: what its kernels in rows and in tiles are given.
#include scores
#include packed_loads

struct Params$ {
  head_vec4s: u32,
  heads: u32,
  num_key_value_groups: u32,
  keys_row_vec4s: u32,
  keys_row_modulus: u32,
  scale: f32,
  window: u32,
  q_row_modulus: u32,
  d_out_row_modulus: u32,
  stats_row_modulus: u32,
  d_keys_row_modulus: u32,
}

#tensor q // (C×H·E)
#tensor k // (N×K·E, or a ring)
#tensor v // (N×K·E, or a ring)
@group(0) @binding(segment_start$) var<storage, read> segment_start$: array<u32>; // (N)
@group(0) @binding(d_out$) var<storage, read_write> d_out$: array<Quad>; // (C×H·E)
@group(0) @binding(stats$) var<storage, read_write> stats$: array<vec2<f32>>; // (C×H×2)
@group(0) @binding(d_k$) var<storage, read_write> d_k$: array<Quad>; // (N×K·E, or a ring)
@group(0) @binding(d_v$) var<storage, read_write> d_v$: array<Quad>; // (N×K·E, or a ring)
