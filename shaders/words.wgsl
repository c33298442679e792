// Floats as they are loaded. Where subgroups share what they load, it comes in words of 64 bits: the driver that this is for takes
// as long for one of them as for one of 32.
#if SUBGROUP
alias Pair = u64;
alias Quad = vec2<u64>;

fn words(pair: Pair) -> vec2<u32> {
  return vec2(u32(pair), u32(pair >> 32u));
}

fn floats(quad: Quad) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(words(quad.x), words(quad.y)));
}
#else
alias Pair = vec2<u32>;
alias Quad = vec4<f32>;

fn words(pair: Pair) -> vec2<u32> {
  return pair;
}

fn floats(quad: Quad) -> vec4<f32> {
  return quad;
}
#end
