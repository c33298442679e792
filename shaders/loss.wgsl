// metrics.loss −= sum of loss_weight[i] · log_probs[i] over the N tokens of the batch.
#include reduce

struct Params$ { tokens: u32 }

@group(0) @binding(log_probs$) var<storage, read_write> log_probs$: array<f32>; // (N)
@group(0) @binding(loss_weight$) var<storage, read> loss_weight$: array<f32>; // (N)
@group(0) @binding(metrics$) var<storage, read_write> metrics$: array<f32>; // (4)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  var sum = 0.0;
  for (var block = local_invocation_index; block < params$.tokens; block += $BLOCKu) {
    var part = 0.0;
    for (var i = block; i < min(block + $BLOCKu, params$.tokens); i += $WORKGROUP_SIZEu) { part = fma(loss_weight$[i], log_probs$[i], part); }
    sum += part;
  }
  let total = workgroup_sum(sum, local_invocation_index);
  if local_invocation_index == 0u { metrics$[0] -= total; }
}
