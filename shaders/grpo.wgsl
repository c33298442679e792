// metrics.loss += sum of w · (policy loss + beta · divergence) over labels (Shao et al. 2024), where w is the weight of a label in the mean. With
// the ratio of probabilities of the model to the one that sampled the label (of a label, or with SEQUENCE the geometric mean over those of
// its sequence), the policy loss is −min(ratio · A, clip(ratio) · A), and with d = ref_log_prob − log_prob the divergence is e^d − d − 1, with
// CORRECTED times the ratio.
// Overwrites the weight of each label (N) by −∂loss/∂log_prob. A workgroup goes through all sequences.
#include reduce

struct Params$ { sequences: u32, beta: f32, epsilon: f32, epsilon_high: f32 }

@group(0) @binding(log_probs$) var<storage, read_write> log_probs$: array<f32>; // (N)
@group(0) @binding(sequence_start$) var<storage, read> sequence_start$: array<u32>; // (B+1)
@group(0) @binding(advantages$) var<storage, read> advantages$: array<f32>; // (B)
@group(0) @binding(loss_weight$) var<storage, read_write> loss_weight$: array<f32>; // (N)
@group(0) @binding(sequence_metrics$) var<storage, read_write> sequence_metrics$: array<vec4<f32>>; // (B×4)
@group(0) @binding(metrics$) var<storage, read_write> metrics$: array<f32>; // (4)
#if OLD
@group(0) @binding(old_log_probs$) var<storage, read> old_log_probs$: array<f32>; // (N)
#end
#if REFERENCE
@group(0) @binding(ref_log_probs$) var<storage, read> ref_log_probs$: array<f32>; // (N)
#end

// The logarithm of a label's ratio.
fn log_ratio$(i: u32) -> f32 {
#if OLD
  return log_probs$[i] - old_log_probs$[i];
#else
  return 0.0;
#end
}

// The log-probability by the reference, less that by the model.
fn less_than_reference$(i: u32) -> f32 {
#if REFERENCE
  return ref_log_probs$[i] - log_probs$[i];
#else
  return 0.0;
#end
}

// e^d − d − 1. Near 0 that is the difference of numbers that are almost equal, so the first terms of its series stand there.
fn divergence$(d: f32) -> f32 {
  let series = fma(fma(fma(fma(fma(1.0 / 5040.0, d, 1.0 / 720.0), d, 1.0 / 120.0), d, 1.0 / 24.0), d, 1.0 / 6.0), d, 0.5) * d * d;
  return select(exp(d) - 1.0 - d, series, abs(d) < 0.5);
}

struct Policy$ { ratio: f32, loss: f32, slope: f32, is_low: f32, is_high: f32 }

// The loss by the logarithm of the ratio, and its slope in that. NaN stays NaN.
fn policy$(log_ratio: f32, advantage: f32) -> Policy$ {
  let ratio = exp(log_ratio);
  let is_low = ratio < 1.0 - params$.epsilon;
  let is_high = ratio > 1.0 + params$.epsilon_high;
  let clipped = select(select(ratio, 1.0 - params$.epsilon, is_low), 1.0 + params$.epsilon_high, is_high);
  let is_clipped = clipped * advantage < ratio * advantage;
  return Policy$(
    ratio,
    -select(ratio, clipped, is_clipped) * advantage,
    select(-ratio * advantage, 0.0, is_clipped),
    select(0.0, 1.0, is_low && advantage < 0.0),
    select(0.0, 1.0, is_high && advantage > 0.0),
  );
}

// Of the labels of a sequence: the sums of the logarithms of their ratios, of their weights and of their weighted divergences, and their
// number.
fn sums_of$(sequence: u32, local_invocation_index: u32) -> vec4<f32> {
  var log_ratio = 0.0;
  var divergence = 0.0;
  var weight = 0.0;
  var count = 0.0;
  let end = sequence_start$[sequence + 1u];
  for (var block = sequence_start$[sequence] + local_invocation_index; block < end; block += $BLOCKu) {
    var log_ratio_part = 0.0;
    var weight_part = 0.0;
    var divergence_part = 0.0;
    for (var i = block; i < min(block + $BLOCKu, end); i += $WORKGROUP_SIZEu) {
      let is_label = loss_weight$[i] != 0.0;
      log_ratio_part += select(0.0, log_ratio$(i), is_label);
      weight_part += loss_weight$[i];
      divergence_part = fma(loss_weight$[i], divergence$(select(0.0, less_than_reference$(i), is_label)), divergence_part);
      count += select(0.0, 1.0, is_label);
    }
    log_ratio += log_ratio_part;
    weight += weight_part;
    divergence += divergence_part;
  }
  return vec4(
    workgroup_sum(log_ratio, local_invocation_index),
    workgroup_sum(weight, local_invocation_index),
    workgroup_sum(divergence, local_invocation_index),
    workgroup_sum(count, local_invocation_index),
  );
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  var total = 0.0;
  for (var sequence = 0u; sequence < params$.sequences; sequence++) {
    let advantage = advantages$[sequence];
    let sums = sums_of$(sequence, local_invocation_index);
    let count = max(sums.w, 1.0);
    let of_sequence = policy$(sums.x / count, advantage);
    var loss = 0.0;
    var divergence = 0.0;
    var low = 0.0;
    var high = 0.0;
    let end = sequence_start$[sequence + 1u];
    for (var block = sequence_start$[sequence] + local_invocation_index; block < end; block += $BLOCKu) {
      var loss_part = 0.0;
      var divergence_part = 0.0;
      for (var i = block; i < min(block + $BLOCKu, end); i += $WORKGROUP_SIZEu) {
        let weight = loss_weight$[i];
        let is_label = weight != 0.0;
        let less = select(0.0, less_than_reference$(i), is_label);
        let of_token = divergence$(less);
#if SEQUENCE
        let policy = of_sequence;
        let share = sums.y / count;
#else
        let policy = policy$(select(0.0, log_ratio$(i), is_label), advantage);
        let share = weight;
        low += select(0.0, policy.is_low, is_label);
        high += select(0.0, policy.is_high, is_label);
#end
#if CORRECTED
        let ratio = policy.ratio;
#if SEQUENCE
        let of_ratio = ratio * sums.z / count;
#else
        let of_ratio = ratio * weight * of_token;
#end
#else
        let ratio = 1.0;
        let of_ratio = 0.0;
#end
        loss_part = fma(weight, fma(params$.beta * ratio, of_token, policy.loss), loss_part);
        divergence_part = fma(ratio, of_token, divergence_part);
        // The slope of e^d − d − 1 in the log-probability is 1 − e^d.
        let of_divergence = fma(weight * ratio, of_token + less, -of_ratio);
        loss_weight$[i] = select(0.0, fma(params$.beta, of_divergence, -(share * policy.slope)), is_label);
      }
      loss += loss_part;
      divergence += divergence_part;
    }
    total += workgroup_sum(loss, local_invocation_index);
    let all_divergence = workgroup_sum(divergence, local_invocation_index);
#if SEQUENCE
    let has_label = select(0.0, 1.0, sums.w > 0.0);
    let all_low = has_label * of_sequence.is_low;
    let all_high = has_label * of_sequence.is_high;
#else
    let all_low = workgroup_sum(low, local_invocation_index);
    let all_high = workgroup_sum(high, local_invocation_index);
#end
    if local_invocation_index == 0u { sequence_metrics$[sequence] = vec4(all_divergence, all_low, all_high, sums.w); }
  }
  if local_invocation_index == 0u { metrics$[0] += total; }
}
