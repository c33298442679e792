// What the three attention kernels have in common: which keys a query sees, and what becomes of a score. The includer binds
// `segment_start`.
#include tanh

// The first token of a query's window.
fn first_in_window$(token: u32) -> u32 {
  return token - min(token, params$.window - 1u);
}

// A query sees its sequence, but no more than a window of it. Later queries never see earlier keys.
fn first_visible$(token: u32) -> u32 {
  return max(segment_start$[token], first_in_window$(token));
}

// A row counted on from that of the first key that a tile of queries sees. In a ring rows begin anew behind the last one, and no tile sees
// so many keys that it passes the last one twice.
fn wrap$(row: u32) -> u32 {
  return select(row, row - params$.keys_row_modulus, row >= params$.keys_row_modulus);
}

// The score of a product.
fn score$(product: f32) -> f32 {
#if SOFTCAP
  return params$.softcap * tanh_of(vec4(product * params$.scale / params$.softcap)).x;
#else
  return product * params$.scale;
#end
}

// How the score changes with the product, less the scale.
fn score_slope$(product: f32) -> f32 {
#if SOFTCAP
  return tanh_slope(vec4(product * params$.scale / params$.softcap)).x;
#else
  return 1.0;
#end
}

// sum + a · b, one term after the other.
fn multiply_add$(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
