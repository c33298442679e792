// log_probs[i] = the label's log-probability, 0 where the label is ignored. The logits of a block of the vocabulary are overwritten by
// their gradient, loss_weight[i] · (softmax − onehot). A thread has four words of a row.
#include logits

struct Params { row_vec4s: u32, first_word: u32, words: u32, softcap: f32, logits_period: u32, stats_period: u32 }

const IGNORED_LABEL: u32 = 0xffffffffu;

@group(0) @binding(2) var<storage, read_write> logits: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> loss_weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  let row = i / params.row_vec4s;
  let col = i % params.row_vec4s;
  if row >= chunk.count { return; }
  let label = labels[chunk.start + row];
  let is_counted = label != IGNORED_LABEL;
  let of_row = stats[first_row(params.stats_period) + row];
  let log_sum = of_row.x + log(of_row.y);
  if col == 0u { log_probs[chunk.start + row] = select(0.0, of_row.z - log_sum, is_counted); }

  let at = (first_row(params.logits_period) + row) * params.row_vec4s + col;
  let weight = select(0.0, loss_weight[chunk.start + row], is_counted);
  let logit = capped(logits[at]);
  let is_label = 4u * col + vec4(0u, 1u, 2u, 3u) == vec4(label - params.first_word);
  let probability = exp(min(logit - log_sum, vec4(0.0)));
  var gradient = weight * (probability - select(vec4(0.0), vec4(1.0), is_label));
#if SOFTCAP
  gradient *= tanh_slope(logits[at] / params.softcap);
#end
  logits[at] = select(vec4(0.0), gradient, is_word(col));
}
