// Packed loads and stores of floats. With SUBGROUP they are 64-bit integers: the driver that this is for (lavapipe) takes as long for a
// 64-bit load as for one of 32 bits, and compiles one faster than two.
#if SUBGROUP
alias Pair = u64;
alias Quad = vec2<u64>;

fn halves(pair: Pair) -> vec2<u32> {
  return vec2(u32(pair), u32(pair >> 32u));
}

fn pair_of(halves: vec2<u32>) -> Pair {
  return u64(halves.x) | u64(halves.y) << 32u;
}

fn floats(stored: Quad) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(halves(stored.x), halves(stored.y)));
}

fn quad(values: vec4<f32>) -> Quad {
  let bits = bitcast<vec4<u32>>(values);
  return vec2(pair_of(bits.xy), pair_of(bits.zw));
}
#else
alias Pair = vec2<u32>;
alias Quad = vec4<f32>;

fn halves(pair: Pair) -> vec2<u32> {
  return pair;
}

fn pair_of(halves: vec2<u32>) -> Pair {
  return halves;
}

fn floats(stored: Quad) -> vec4<f32> {
  return stored;
}

fn quad(values: vec4<f32>) -> Quad {
  return values;
}
#end

// A bf16 is the upper half of an f32; the first of two lies in the lower half of a word.
fn floats_of_bf16(pair: Pair) -> vec4<f32> {
  let words = halves(pair);
  return bitcast<vec4<f32>>(vec4(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}

// The bits of the nearest floats whose lower half is zero, of two the one whose last bit is zero. NaN stays NaN.
fn rounded_to_bf16(values: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(values);
  let nearest = bits + 0x7fffu + ((bits >> vec4(16u)) & vec4(1u));
  let is_nan = (bits & vec4(0x7fffffffu)) > vec4(0x7f800000u);
  return select(nearest, bits | vec4(0x00400000u), is_nan) & vec4(0xffff0000u);
}

fn bf16_of(values: vec4<f32>) -> Pair {
  let bits = rounded_to_bf16(values);
  return pair_of((bits.xz >> vec2(16u)) | bits.yw);
}
