// Shared by the two kernels of the loss. The including shader binds `logits`.
#include tanh

// Which of four columns are token ids rather than padding.
fn is_id$(col: u32) -> vec4<bool> {
  return 4u * col + vec4(0u, 1u, 2u, 3u) < vec4(params$.ids);
}

// The logits of four token ids less a number: soft-capped if the model caps them, and then divided by the temperature.
fn capped_less$(raw: vec4<f32>, less: f32) -> vec4<f32> {
#if TEMPERATURE
  return capped$(raw) - less;
#else
#if SOFTCAP
  return fma(vec4(params$.softcap), tanh_of(raw / params$.softcap), vec4(-less));
#else
  return raw - less;
#end
#end
}

// The same without the number.
fn capped$(raw: vec4<f32>) -> vec4<f32> {
#if SOFTCAP
  let value = params$.softcap * tanh_of(raw / params$.softcap);
#else
  let value = raw;
#end
#if TEMPERATURE
  return value / params$.temperature;
#else
  return value;
#end
}
