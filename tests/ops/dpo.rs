use streambp::step::ops::Dpo;
use streambp::step::{Bindings, DpoLossType, DpoSettings, Objective, PairBindings, TensorId};

use crate::support::op_harness::{OpHarness, Shape, Tolerance};
use crate::support::{Random, model};

/// Operands of a batch: log-probabilities, their gradient, sums of sequences, and metrics.
struct Operands {
    log_probs: TensorId,
    loss_weight: TensorId,
    sums: TensorId,
    metrics: TensorId,
}

/// Pairs of sequences of these lengths; about one token in four has no label, and none of the second pair, if there is one.
fn harness(lengths: &[u32], settings: DpoSettings) -> (OpHarness, Operands) {
    let mut random = Random::new(3);
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(lengths));
    b.minimise(Objective::Dpo(settings));
    let Bindings { log_probs, loss_weight, metrics, pairs, .. } = b.program().bindings.clone();
    let PairBindings { sequence_start, ref_log_probs, sequence_log_probs } = pairs.unwrap();
    let pairs = lengths.len() as u32 / 2;
    let starts: Vec<u32> = (0..=lengths.len()).map(|sequence| lengths[..sequence].iter().sum()).collect();
    let unlabelled = starts.get(2).zip(starts.get(4)).map_or(0..0, |(&start, &end)| start..end);
    let has_label: Vec<bool> = (0..b.tokens()).map(|i| random.below(4) > 0 && !unlabelled.contains(&i)).collect();
    let values = has_label.iter().map(|&has_label| if has_label { -3.0 * random.real().abs() } else { 0.0 });
    let values: Vec<f32> = values.collect();
    b.adopt(log_probs).copy_from_slice(&values);
    let weights: Vec<f32> = has_label.iter().map(|&has_label| if has_label { 1.0 / pairs as f32 } else { 0.0 }).collect();
    b.adopt(loss_weight).copy_from_slice(&weights);
    // About what the model itself says.
    let reference: Vec<f32> = values.iter().map(|value| value + 0.2 * random.real()).collect();
    b.adopt(ref_log_probs).copy_from_slice(&reference);
    b.adopt(sequence_log_probs).fill(f32::NAN);
    // The metrics after earlier batches of the step.
    b.adopt(metrics).copy_from_slice(&[0.5, 1.0, 2.0, 3.0]);
    b.indices(sequence_start, starts);
    b.op(Dpo { log_probs, sequence_start, ref_log_probs, loss_weight, sequence_log_probs, metrics, pairs, settings });
    (b, Operands { log_probs, loss_weight, sums: sequence_log_probs, metrics })
}

fn all_settings() -> impl Iterator<Item = DpoSettings> {
    let settings = |loss_type| [0.0, 0.1].map(|label_smoothing| DpoSettings { beta: 0.4, loss_type, label_smoothing });
    DpoLossType::ALL.into_iter().flat_map(settings)
}

#[test]
fn kernel_and_reference_agree() {
    let batches: [&[u32]; 5] = [&[1, 1], &[7, 70], &[65, 64, 3, 9], &[2000, 1500], &[90, 40, 30, 20, 5, 260]];
    for lengths in batches {
        for settings in all_settings() {
            let (b, Operands { loss_weight, sums, metrics, .. }) = harness(lengths, settings);
            let each = [loss_weight, sums, metrics].map(|id| (id, Tolerance::Norm(1e-5)));
            b.check(&each);
        }
    }
}

#[test]
fn weights_are_the_slope_of_the_loss() {
    for settings in all_settings() {
        let (b, Operands { log_probs, loss_weight, metrics, .. }) = harness(&[40, 30, 5, 6, 20, 90], settings);
        b.gradcheck(metrics, &[-1.0, 0.0, 0.0, 0.0], &[(log_probs, loss_weight)]);
    }
}
