// tanh, accurate to the last digits of f32 for every argument. The built-in tanh() overflows on some drivers, and a formula of exponentials
// alone would cancel near zero.

// |x|, or 20 if that is less: tanh is 1 from there on. NaN stays NaN.
fn size_below_20(x: vec4<f32>) -> vec4<f32> {
  return select(abs(x), vec4(20.0), abs(x) > vec4(20.0));
}

fn tanh_of(x: vec4<f32>) -> vec4<f32> {
  let s = x * x;
  var series = fma(s, vec4(-1382.0 / 155925.0), vec4(62.0 / 2835.0));
  series = fma(s, series, vec4(-17.0 / 315.0));
  series = fma(s, series, vec4(2.0 / 15.0));
  series = fma(s, series, vec4(-1.0 / 3.0));
  let small = x * fma(s, series, vec4(1.0));
  let e = exp(-2.0 * size_below_20(x));
  return select(small, sign(x) * (1.0 - e) / (1.0 + e), s >= vec4(0.0625));
}

// The derivative of tanh, without the cancellation of 1 − tanh².
fn tanh_slope(x: vec4<f32>) -> vec4<f32> {
  let e = exp(-2.0 * size_below_20(x));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}
