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

#tensor x // (C×K)
@group(0) @binding(weight$) var<storage, read> weight$: array<Stored$>; // (rows×K)
#tensor out // (C×M)
#if BIAS
@group(0) @binding(bias$) var<storage, read> bias$: array<Quad>; // (M)
#end
#if RESIDUAL
#tensor residual // (C×M)
#end

// The sum of the blocks so far with one more, of what lies in `out`.
fn add_block$(before: vec4<f32>, block_sum: vec4<f32>) -> vec4<f32> {
#if ACCUMULATE
  return fma(block_sum, vec4(params$.scale), before);
#else
  return block_sum + before;
#end
}

// The sum of all blocks with all else that is added.
fn finished$(sum: vec4<f32>, residual_at: u32, col: u32) -> vec4<f32> {
#if ACCUMULATE
  var all = sum;
#if BIAS
  all += floats(bias$[col]);
#end
#if RESIDUAL
  all += load_residual$(residual_at);
#end
  return all;
#else
#if BIAS
  let all = fma(sum, vec4(params$.scale), floats(bias$[col]));
#if RESIDUAL
  return all + load_residual$(residual_at);
#else
  return all;
#end
#else
#if RESIDUAL
  return fma(sum, vec4(params$.scale), load_residual$(residual_at));
#else
  return sum * params$.scale;
#end
#end
#end
}

// Stores four columns after a block of the inner dimension. `before` is the sum of the blocks before it if that is HELD in registers, because
// `out` would round it; otherwise it lies in `out`. Returns what to hold.
fn store$(before: vec4<f32>, block_sum: vec4<f32>, out_start: u32, residual_start: u32, col: u32, is_first: bool, is_last: bool) -> vec4<f32> {
  let at = out_start + col;
//: reduce
#if ACCUMULATE
#if HELD
  var sum = before;
  if is_first { sum = load_out$(at); }
  sum = add_block$(sum, block_sum);
#else
  let sum = add_block$(load_out$(at), block_sum);
#end
#else
  var sum = block_sum;
#if HELD
  if !is_first { sum = add_block$(before, block_sum); }
#else
  if !is_first { sum = add_block$(load_out$(at), block_sum); }
#end
#end
//: store
  if is_last {
    store_out$(at, finished$(sum, residual_start + col, col));
  } else {
#if HELD
    return sum;
#else
    store_out$(at, sum);
#end
  }
//:
  return sum;
}
