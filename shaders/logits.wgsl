// What the two kernels of the loss have in common. The includer binds `logits`.
#include tanh

// Which of four columns are words, and not padding behind the last one.
fn is_id$(col: u32) -> vec4<bool> {
  return 4u * col + vec4(0u, 1u, 2u, 3u) < vec4(params$.ids);
}

// The logits of four words.
fn capped$(raw: vec4<f32>) -> vec4<f32> {
#if SOFTCAP
  return params$.softcap * tanh_of(raw / params$.softcap);
#else
  return raw;
#end
}
