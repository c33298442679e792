// The factor of a norm: the weight, or 1 + weight with ONE_PLUS. The including shader binds `weight`, whose row is padded with zeros. The 1
// is also added to the padding, which is harmless because the padding of the rows that it multiplies is zero.

fn norm_weight$(col: u32) -> vec4<f32> {
#if ONE_PLUS
  return 1.0 + weight$[col];
#else
  return weight$[col];
#end
}
