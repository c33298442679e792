// The activation of the gate (SiLU, or GELU by tanh with GELU), and its derivative.
#if GELU
#include tanh

const ROOT: f32 = 0.7978845608028654; // √(2/π)
const CUBE: f32 = 0.044715;

fn activation(x: vec4<f32>) -> vec4<f32> {
  return 0.5 * x * (1.0 + tanh_of(ROOT * (x + CUBE * x * x * x)));
}

fn activation_slope(x: vec4<f32>) -> vec4<f32> {
  let inner = ROOT * (x + CUBE * x * x * x);
  return 0.5 * (1.0 + tanh_of(inner)) + 0.5 * x * tanh_slope(inner) * ROOT * (1.0 + 3.0 * CUBE * x * x);
}
#else
// Above 80 the exponential would overflow f32; the quotient is zero long before.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
  return 1.0 / (1.0 + exp(min(-x, vec4(80.0))));
}

fn activation(x: vec4<f32>) -> vec4<f32> {
  return x * sigmoid(x);
}

fn activation_slope(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid(x);
  return s * (1.0 + x * (1.0 - s));
}
#end
