// A projection: what its kernels with and without tiles in workgroup memory are given, and what they store.
#include weight

struct Params$ {
  in_vec4s: u32,
  out_vec4s: u32,
  vec4s: u32,
  first_row: u32,
  first_col_vec4: u32,
  scale: f32,
  x_row_modulus: u32,
  out_row_modulus: u32,
  residual_row_modulus: u32,
}

@group(0) @binding(x$) var<storage, read_write> x$: array<Quad>; // (C×K)
@group(0) @binding(weight$) var<storage, read> weight$: array<Stored$>; // (rows×K)
@group(0) @binding(out$) var<storage, read_write> out$: array<Quad>; // (C×M)
#if BIAS
@group(0) @binding(bias$) var<storage, read> bias$: array<Quad>; // (M)
#end
#if RESIDUAL
@group(0) @binding(residual$) var<storage, read_write> residual$: array<Quad>; // (C×M)
#end

// Stores four columns after a block of the inner dimension: with the blocks before it, and after the last one with all that is added.
fn store$(block_sum: vec4<f32>, out_start: u32, residual_start: u32, col: u32, is_first: bool, is_last: bool) {
//: reduce
#if ACCUMULATE
  let sum = fma(block_sum, vec4(params$.scale), floats(out$[out_start + col]));
#else
  var sum = block_sum;
  if !is_first { sum += floats(out$[out_start + col]); }
#end
//: store
  var stored = sum;
  if is_last {
#if ACCUMULATE
#if BIAS
    stored += floats(bias$[col]);
#end
#if RESIDUAL
    stored += floats(residual$[residual_start + col]);
#end
#else
#if BIAS
    stored = fma(sum, vec4(params$.scale), floats(bias$[col]));
#if RESIDUAL
    stored += floats(residual$[residual_start + col]);
#end
#else
#if RESIDUAL
    stored = fma(sum, vec4(params$.scale), floats(residual$[residual_start + col]));
#else
    stored = sum * params$.scale;
#end
#end
#end
  }
  out$[out_start + col] = quad(stored);
//:
}
