// Shared by the two kernels of the loss. The including shader binds `logits`.
#include tanh

// Which of four columns are token ids rather than padding.
fn is_id$(col: u32) -> vec4<bool> {
  return 4u * col + vec4(0u, 1u, 2u, 3u) < vec4(params$.ids);
}

// The logits of four token ids less a number, soft-capped if the model caps them.
fn capped_less$(raw: vec4<f32>, less: f32) -> vec4<f32> {
#if SOFTCAP
  return fma(vec4(params$.softcap), tanh_of(raw / params$.softcap), vec4(-less));
#else
  return raw - less;
#end
}

// The same without the number.
fn capped$(raw: vec4<f32>) -> vec4<f32> {
#if SOFTCAP
  return params$.softcap * tanh_of(raw / params$.softcap);
#else
  return raw;
#end
}
