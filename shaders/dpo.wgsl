// metrics.loss += sum of w · loss(Δ) over pairs of sequences (Rafailov et al. 2023), where w is the weight of a pair in the mean, and Δ the
// log-ratio of model to reference of the first sequence, minus that of the second. Overwrites the weight of each label (N) by −∂loss/∂log_prob.
// A workgroup goes through all pairs. With IPO the log-ratios of Δ are means over labels.
#include reduce

struct Params$ { pairs: u32, beta: f32, label_smoothing: f32 }

@group(0) @binding(log_probs$) var<storage, read_write> log_probs$: array<f32>; // (N)
@group(0) @binding(sequence_start$) var<storage, read> sequence_start$: array<u32>; // (2P+1)
@group(0) @binding(ref_log_probs$) var<storage, read> ref_log_probs$: array<f32>; // (N)
@group(0) @binding(loss_weight$) var<storage, read_write> loss_weight$: array<f32>; // (N)
@group(0) @binding(sequence_log_probs$) var<storage, read_write> sequence_log_probs$: array<vec2<f32>>; // (2P×2)
@group(0) @binding(metrics$) var<storage, read_write> metrics$: array<f32>; // (4)

// The labels of a sequence: their log-probability, the same less that by the reference, their number, and their weight. The log-ratio is
// summed by itself: it is much smaller than what it is the difference of.
struct Labels$ { log_prob: f32, log_ratio: f32, count: f32, weight: f32 }

fn labels_of$(sequence: u32, local_invocation_index: u32) -> Labels$ {
  var log_prob = 0.0;
  var log_ratio = 0.0;
  var count = 0.0;
  var weight = 0.0;
  let end = sequence_start$[sequence + 1u];
  for (var block = sequence_start$[sequence] + local_invocation_index; block < end; block += $BLOCKu) {
    var log_prob_part = 0.0;
    var log_ratio_part = 0.0;
    for (var i = block; i < min(block + $BLOCKu, end); i += $WORKGROUP_SIZEu) {
      let is_label = loss_weight$[i] != 0.0;
      log_prob_part += select(0.0, log_probs$[i], is_label);
      log_ratio_part += select(0.0, log_probs$[i] - ref_log_probs$[i], is_label);
      count += select(0.0, 1.0, is_label);
      weight = max(weight, loss_weight$[i]);
    }
    log_prob += log_prob_part;
    log_ratio += log_ratio_part;
  }
  return Labels$(
    workgroup_sum(log_prob, local_invocation_index),
    workgroup_sum(log_ratio, local_invocation_index),
    workgroup_sum(count, local_invocation_index),
    workgroup_max(weight, local_invocation_index),
  );
}

// What the loss divides a sequence's log-ratio by.
fn terms_of$(labels: Labels$) -> f32 {
#if IPO
  return max(labels.count, 1.0);
#else
  return 1.0;
#end
}

// −log σ(x). NaN stays NaN.
fn minus_log_sigmoid$(x: f32) -> f32 {
  return select(0.0, -x, x < 0.0) + log(1.0 + exp(-abs(x)));
}

fn sigmoid$(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-x));
}

// The loss of a pair and its slope.
fn loss$(margin: f32) -> vec2<f32> {
#if IPO
  let off = margin - 0.5 / params$.beta;
  return vec2(off * off, 2.0 * off);
#else
  let x = params$.beta * margin;
#if HINGE
  return select(vec2(fma(-params$.beta, margin, 1.0), -params$.beta), vec2(0.0), x >= 1.0);
#else
  let kept = 1.0 - params$.label_smoothing;
  let loss = fma(kept, minus_log_sigmoid$(x), params$.label_smoothing * minus_log_sigmoid$(-x));
  let slope = fma(-kept, sigmoid$(-x), params$.label_smoothing * sigmoid$(x));
  return vec2(loss, params$.beta * slope);
#end
#end
}

// Writes the weight of a sequence's labels.
fn write_weights$(sequence: u32, weight: f32, local_invocation_index: u32) {
  for (var i = sequence_start$[sequence] + local_invocation_index; i < sequence_start$[sequence + 1u]; i += $WORKGROUP_SIZEu) {
    loss_weight$[i] = select(0.0, weight, loss_weight$[i] != 0.0);
  }
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  var total = 0.0;
  for (var pair = 0u; pair < params$.pairs; pair++) {
    let chosen = labels_of$(2u * pair, local_invocation_index);
    let rejected = labels_of$(2u * pair + 1u, local_invocation_index);
    let loss = loss$(chosen.log_ratio / terms_of$(chosen) - rejected.log_ratio / terms_of$(rejected));
    let weight = max(chosen.weight, rejected.weight);
    total = fma(weight, loss.x, total);
    write_weights$(2u * pair, -weight * loss.y / terms_of$(chosen), local_invocation_index);
    write_weights$(2u * pair + 1u, weight * loss.y / terms_of$(rejected), local_invocation_index);
    if local_invocation_index == 0u {
      sequence_log_probs$[2u * pair] = vec2(chosen.log_prob, chosen.log_ratio);
      sequence_log_probs$[2u * pair + 1u] = vec2(rejected.log_prob, rejected.log_ratio);
    }
  }
  if local_invocation_index == 0u { metrics$[0] += total; }
}
