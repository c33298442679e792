// Packed loads and stores of floats. With SUBGROUP they are 64-bit integers: the driver that this is for (lavapipe) takes as long for a
// 64-bit load as for one of 32 bits, and compiles one faster than two.
#if SUBGROUP
alias Pair = u64;
alias Quad = vec2<u64>;

fn halves(pair: Pair) -> vec2<u32> {
  return vec2(u32(pair), u32(pair >> 32u));
}

fn floats(stored: Quad) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(halves(stored.x), halves(stored.y)));
}

fn quad(values: vec4<f32>) -> Quad {
  let bits = bitcast<vec4<u32>>(values);
  return vec2(u64(bits.x) | u64(bits.y) << 32u, u64(bits.z) | u64(bits.w) << 32u);
}
#else
alias Pair = vec2<u32>;
alias Quad = vec4<f32>;

fn halves(pair: Pair) -> vec2<u32> {
  return pair;
}

fn floats(stored: Quad) -> vec4<f32> {
  return stored;
}

fn quad(values: vec4<f32>) -> Quad {
  return values;
}
#end
