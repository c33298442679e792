// Shared by the three attention kernels: the mask, and the scores. The including shader binds `segment_start`.

// The first token of a query's window.
fn first_in_window$(token: u32) -> u32 {
  return token - min(token, params$.window - 1u);
}

// The first key that is visible to a query: in its sequence and in its window. It never decreases from one query to the next.
fn first_visible$(token: u32) -> u32 {
  return max(segment_start$[token], first_in_window$(token));
}

// Wraps a row of a ring, counted from the row of the first key that is visible to a tile of queries. No tile has so many visible keys that
// it wraps twice.
fn wrap$(row: u32) -> u32 {
  return select(row, row - params$.keys_row_modulus, row >= params$.keys_row_modulus);
}

// The score of a product q · k.
fn score$(product: f32) -> f32 {
  return product * params$.scale;
}

// sum + a · b, term by term in a fixed order.
fn multiply_add$(a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
