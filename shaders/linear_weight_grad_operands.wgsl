// The gradient of a projection's matrix: what its kernels with and without tiles in workgroup memory are given.
#include packed_loads

struct Params$ { in_vec4s: u32, out_vec4s: u32, vec4s: u32, first_row: u32, first_col_vec4: u32, d_out_row_modulus: u32, x_row_modulus: u32 }

#tensor d_out // (C×M)
#tensor x // (C×K)
@group(0) @binding(d_weight$) var<storage, read_write> d_weight$: array<Quad>; // (rows×K)
