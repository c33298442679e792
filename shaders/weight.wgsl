// Reads a matrix of any stored dtype. The including shader binds `weight: array<Stored>`; weight_at(weight_row(row), column / 4) returns
// four columns of a row.
#include packed_loads

#if BF16
alias Stored$ = Pair;
#else
#if F16
alias Stored$ = Pair;
#else
#if INT8
alias Stored$ = u32;
#else
alias Stored$ = Quad;
#end
#end
#end

// The start of a row, in elements of `weight`.
fn weight_row$(row: u32) -> u32 {
#if INT8
  // A block of 32 columns is an f32 scale and eight u32s of four int8 values each.
  return row * ((params$.in_vec4s + 7u) / 8u * 9u);
#else
  return row * params$.in_vec4s;
#end
}

fn weight_at$(start: u32, col: u32) -> vec4<f32> {
#if BF16
  return floats_of_bf16(weight$[start + col]);
#else
#if F16
  let pairs = halves(weight$[start + col]);
  return vec4(unpack2x16float(pairs.x), unpack2x16float(pairs.y));
#else
#if INT8
  let block = start + (col >> 3u) * 9u;
  let bytes = vec4<i32>(vec4<u32>(weight$[block + 1u + (col & 7u)]) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u);
  return vec4<f32>(bytes) * bitcast<f32>(weight$[block]);
#else
  return floats(weight$[start + col]);
#end
#end
#end
}
