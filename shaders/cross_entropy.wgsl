// log_probs[i] = the label's log-probability, 0 where the label is ignored. The logits are overwritten by their gradient,
// loss_weight[i] · (softmax − onehot). A workgroup has a row.
#include reduce

struct Params { row_vec4s: u32, vocab_size: u32, logits_absolute: u32 }

const IGNORED_LABEL: u32 = 0xffffffffu;
const LOWEST: f32 = -1e30;

@group(0) @binding(2) var<storage, read_write> logits: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> loss_weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> log_probs: array<f32>;

// Which of four columns are words, and not padding behind the last one.
fn is_word(col: u32) -> vec4<bool> {
  return 4u * col + vec4(0u, 1u, 2u, 3u) < vec4(params.vocab_size);
}

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = flat_workgroup(workgroup, workgroups);
  if row >= chunk.count { return; }
  let start = (first_row(params.logits_absolute) + row) * params.row_vec4s;
  let label = labels[chunk.start + row];
  let is_counted = label != IGNORED_LABEL;
  let label_col = select(0u, label, is_counted);
  let label_logit = logits[start + label_col / 4u][label_col % 4u];

  var most = vec4(LOWEST);
  for (var col = lane; col < params.row_vec4s; col += $LANESu) {
    most = max(most, select(vec4(LOWEST), logits[start + col], is_word(col)));
  }
  let top = workgroup_max(max(max(most.x, most.y), max(most.z, most.w)), lane);
  var sum = 0.0;
  for (var col = lane; col < params.row_vec4s; col += $LANESu) {
    sum += dot(select(vec4(0.0), exp(logits[start + col] - top), is_word(col)), vec4(1.0));
  }
  let log_sum = top + log(workgroup_sum(sum, lane));
  if lane == 0u { log_probs[chunk.start + row] = select(0.0, label_logit - log_sum, is_counted); }

  // The label's logit was read by every thread, and is overwritten by one.
  storageBarrier();
  let weight = select(0.0, loss_weight[chunk.start + row], is_counted);
  for (var col = lane; col < params.row_vec4s; col += $LANESu) {
    let is_label = 4u * col + vec4(0u, 1u, 2u, 3u) == vec4(label_col);
    let probability = exp(min(logits[start + col] - log_sum, vec4(0.0)));
    let gradient = weight * (probability - select(vec4(0.0), vec4(1.0), is_label));
    logits[start + col] = select(vec4(0.0), gradient, is_word(col));
  }
}
