// log_probs[i] = the label's log-probability, 0 if the label is ignored (N). Overwrites the logits of a range of the vocabulary (C×range)
// with their gradient, loss_weight[i] · (softmax − onehot). A thread has four token ids of a row.
#include logits

struct Params$ { row_vec4s: u32, first_id: u32, ids: u32, softcap: f32, temperature: f32, logits_row_modulus: u32, stats_row_modulus: u32 }

const IGNORED_LABEL$: u32 = 0xffffffffu;

@group(0) @binding(logits$) var<storage, read_write> logits$: array<vec4<f32>>; // (C×range)
@group(0) @binding(labels$) var<storage, read> labels$: array<u32>; // (N)
@group(0) @binding(loss_weight$) var<storage, read> loss_weight$: array<f32>; // (N)
@group(0) @binding(stats$) var<storage, read_write> stats$: array<vec4<f32>>; // (C×4)
@group(0) @binding(log_probs$) var<storage, read_write> log_probs$: array<f32>; // (N)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  let row = i / params$.row_vec4s;
  let col = i % params$.row_vec4s;
  if row >= chunk.count { return; }
//: load
  if is_left_out(labelled_only$, row) {
    if col == 0u { log_probs$[chunk.start + row] = 0.0; }
    return;
  }
  let label = labels$[chunk.start + row];
  let is_counted = label != IGNORED_LABEL$;
  let of_row = stats$[first_row(params$.stats_row_modulus) + row];
  let log_sum = of_row.x + log(of_row.y);
//: store
  if col == 0u { log_probs$[chunk.start + row] = select(0.0, of_row.z - log_sum, is_counted); }
//:

  let at = (first_row(params$.logits_row_modulus) + row) * params$.row_vec4s + col;
//: load
  let weight = select(0.0, loss_weight$[chunk.start + row], is_counted);
//: multiply
  let is_label = 4u * col + vec4(0u, 1u, 2u, 3u) == vec4(label - params$.first_id);
  let probability = exp_of_negative(capped_less$(logits$[at], log_sum));
  var gradient = weight * (probability - select(vec4(0.0), vec4(1.0), is_label));
#if SOFTCAP
  gradient *= tanh_slope(logits$[at] / params$.softcap);
#end
#if TEMPERATURE
  gradient /= params$.temperature;
#end
//: store
  logits$[at] = select(vec4(0.0), gradient, is_id$(col));
//:
}
