// The gradient of a projection's input: what its kernels with and without tiles in workgroup memory are given.
#include weight

struct Params$ {
  in_vec4s: u32,
  out_vec4s: u32,
  vec4s: u32,
  first_row: u32,
  first_col_vec4: u32,
  scale: f32,
  d_out_row_modulus: u32,
  d_x_row_modulus: u32,
}

#tensor d_out // (C×M)
@group(0) @binding(weight$) var<storage, read> weight$: array<Stored$>; // (rows×K)
@group(0) @binding(d_x$) var<storage, read_write> d_x$: array<Quad>; // (C×K)
