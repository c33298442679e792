// The activation of the gate (SiLU, or GELU by tanh with GELU), and its derivative.
#if GELU
#include tanh

const ROOT: f32 = 0.7978845608028654; // √(2/π)
const CUBE: f32 = 0.044715;

fn inner(x: vec4<f32>) -> vec4<f32> {
  return ROOT * fma(CUBE * x * x, x, x);
}

fn activation(x: vec4<f32>) -> vec4<f32> {
  return 0.5 * x * (1.0 + tanh_of(inner(x)));
}

fn activation_slope(x: vec4<f32>) -> vec4<f32> {
  let inner = inner(x);
  let inner_slope = ROOT * fma(3.0 * CUBE * x, x, vec4(1.0));
  return fma(0.5 * x * tanh_slope(inner), inner_slope, 0.5 * (1.0 + tanh_of(inner)));
}
#else
// Above 80 the exponential would overflow f32; the quotient is zero long before.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
  return 1.0 / (1.0 + exp(select(-x, vec4(80.0), -x > vec4(80.0))));
}

fn activation(x: vec4<f32>) -> vec4<f32> {
  return x * sigmoid(x);
}

fn activation_slope(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid(x);
  return s * fma(x, 1.0 - s, vec4(1.0));
}
#end
