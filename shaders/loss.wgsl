// metrics.loss −= sum of loss_weight[i] · log_probs[i] over the batch.
#include reduce

struct Params { tokens: u32 }

@group(0) @binding(2) var<storage, read_write> log_probs: array<f32>;
@group(0) @binding(3) var<storage, read> loss_weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> metrics: array<f32>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.tokens; i += $LANESu) { sum += loss_weight[i] * log_probs[i]; }
  let total = workgroup_sum(sum, lane);
  if lane == 0u { metrics[0] -= total; }
}
