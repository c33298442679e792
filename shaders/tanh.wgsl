// tanh, accurate to the last digits of f32 for every argument. The built-in tanh() overflows on some drivers, and a formula of exponentials
// alone would cancel near zero.

fn tanh_of(x: vec4<f32>) -> vec4<f32> {
  let s = x * x;
  let small = x * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0 - s * (1382.0 / 155925.0))))));
  let e = exp(-2.0 * min(abs(x), vec4(20.0)));
  return select(sign(x) * (1.0 - e) / (1.0 + e), small, s < vec4(0.0625));
}

// The derivative of tanh, without the cancellation of 1 − tanh².
fn tanh_slope(x: vec4<f32>) -> vec4<f32> {
  let e = exp(-2.0 * min(abs(x), vec4(20.0)));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}
