// Shared by the three attention kernels: the mask, and the scores. The including shader binds `segment_start`.

// The first token of a query's window.
fn first_in_window$(token: u32) -> u32 {
  return token - min(token, params$.window - 1u);
}

// The first key that is visible to a query: in its sequence and in its window. It never decreases from one query to the next.
fn first_visible$(token: u32) -> u32 {
  return max(segment_start$[token], first_in_window$(token));
}

// Wraps a row of a ring, counted from the row of the first key that a dispatch has for a tile of queries. No tile has so many visible keys
// that it wraps twice. Where keys lie in several pieces, those of a dispatch lie in one of them, which looks like a ring.
fn wrap$(row: u32) -> u32 {
  return select(row, row - params$.keys_row_modulus, row >= params$.keys_row_modulus);
}

// The score of a product q · k.
fn score$(product: f32) -> f32 {
  return product * params$.scale;
}

// The weight of a key whose product with the query is given: e to the power of its score less the logarithm of the row's sum.
fn weight$(product: f32, log_sum: f32) -> f32 {
  return exp_of_negative(vec4(fma(product, params$.scale, -log_sum))).x;
}
