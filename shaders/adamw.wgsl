// One step of AdamW (Loshchilov & Hutter 2019) with the clipped gradient; does nothing if the gradient is not finite.
#include adamw_params

struct Params$ { vec4s: u32, decay: f32 }

@group(0) @binding(gradient$) var<storage, read> gradient$: array<vec4<f32>>; // the shape of the parameter
@group(0) @binding(adamw_params$) var<storage, read> adamw_params$: AdamWParams; // (8)
@group(0) @binding(metrics$) var<storage, read> metrics$: array<f32>; // (4)
@group(0) @binding(weight$) var<storage, read_write> weight$: array<vec4<f32>>; // the shape of the parameter
@group(0) @binding(moment1$) var<storage, read_write> moment1$: array<vec4<f32>>; // the shape of the parameter
@group(0) @binding(moment2$) var<storage, read_write> moment2$: array<vec4<f32>>; // the shape of the parameter

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  if i >= params$.vec4s || metrics$[3] != 0.0 { return; }
  let g = gradient$[i] * metrics$[2];
  let m = fma(vec4(1.0 - adamw_params$.beta1), g, adamw_params$.beta1 * moment1$[i]);
  let v = fma((1.0 - adamw_params$.beta2) * g, g, adamw_params$.beta2 * moment2$[i]);
  moment1$[i] = m;
  moment2$[i] = v;
  let direction = (m / adamw_params$.bias_correction1) / (sqrt(v / adamw_params$.bias_correction2) + adamw_params$.epsilon);
  let w = weight$[i];
  let change = fma(vec4(params$.decay * adamw_params$.weight_decay), w, direction);
  weight$[i] = fma(vec4(-adamw_params$.learning_rate), change, w);
}
