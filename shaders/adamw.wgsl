// One step of AdamW with the clipped gradient; nothing if the gradient is not finite.
#include settings

struct Params { vec4s: u32, decay: f32 }

@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> settings: Settings;
@group(0) @binding(4) var<storage, read> metrics: array<f32>;
@group(0) @binding(5) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> moment1: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> moment2: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  if i >= params.vec4s || metrics[3] != 0.0 { return; }
  let g = gradient[i] * metrics[2];
  let m = settings.beta1 * moment1[i] + (1.0 - settings.beta1) * g;
  let v = settings.beta2 * moment2[i] + (1.0 - settings.beta2) * g * g;
  moment1[i] = m;
  moment2[i] = v;
  let direction = (m / settings.bias_correction1) / (sqrt(v / settings.bias_correction2) + settings.epsilon);
  let w = weight[i];
  weight[i] = w - settings.learning_rate * (direction + params.decay * settings.weight_decay * w);
}
