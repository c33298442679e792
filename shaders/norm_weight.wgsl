// What a norm multiplies by. The includer binds `weight`, whose rows are padded with zeros; where one is added, it is added to the padding
// too, and what it multiplies there is zero.

fn norm_weight$(col: u32) -> vec4<f32> {
#if ONE_PLUS
  return 1.0 + weight$[col];
#else
  return weight$[col];
#end
}
