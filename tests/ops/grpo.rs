use streambp::step::ops::Grpo;
use streambp::step::{Bindings, GrpoSettings, ImportanceSamplingLevel, Objective, SampleBindings, TensorId};

use crate::support::op_harness::{OpHarness, Shape, Tolerance};
use crate::support::{Random, model};

/// Operands of a batch: log-probabilities, their gradient, metrics of sequences, and metrics.
struct Operands {
    log_probs: TensorId,
    loss_weight: TensorId,
    found: TensorId,
    metrics: TensorId,
}

/// Sequences of these lengths; about one token in four has no label, and none of the third sequence, if there is one.
fn harness(lengths: &[u32], settings: GrpoSettings) -> (OpHarness, Operands) {
    let mut random = Random::new(3);
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(lengths));
    b.minimise(Objective::Grpo(settings));
    let Bindings { log_probs, loss_weight, metrics, samples, .. } = b.program().bindings.clone();
    let SampleBindings { sequence_start, advantages, old_log_probs, ref_log_probs, sequence_metrics } = samples.unwrap();
    let starts: Vec<u32> = (0..=lengths.len()).map(|sequence| lengths[..sequence].iter().sum()).collect();
    let unlabelled = starts.get(2).zip(starts.get(3)).map_or(0..0, |(&start, &end)| start..end);
    let has_label: Vec<bool> = (0..b.tokens()).map(|i| random.below(4) > 0 && !unlabelled.contains(&i)).collect();
    let values = has_label.iter().map(|&has_label| if has_label { -3.0 * random.real().abs() } else { 0.0 });
    let values: Vec<f32> = values.collect();
    b.adopt(log_probs).copy_from_slice(&values);
    let weights: Vec<f32> = has_label.iter().map(|&has_label| if has_label { 0.02 + 0.01 * random.real() } else { 0.0 }).collect();
    b.adopt(loss_weight).copy_from_slice(&weights);
    // Around what the model itself says, so that some ratios are clipped.
    for id in [old_log_probs, ref_log_probs].into_iter().flatten() {
        let near: Vec<f32> = values.iter().map(|value| value + 0.4 * random.real()).collect();
        b.adopt(id).copy_from_slice(&near);
    }
    let of_sequences: Vec<f32> = (0..lengths.len()).map(|i| if i == 1 { 0.0 } else { random.real() }).collect();
    b.adopt(advantages).copy_from_slice(&of_sequences);
    b.adopt(sequence_metrics).fill(f32::NAN);
    // The metrics after earlier batches of the step.
    b.adopt(metrics).copy_from_slice(&[0.5, 1.0, 2.0, 3.0]);
    b.indices(sequence_start, starts);
    b.op(Grpo {
        log_probs,
        sequence_start,
        advantages,
        old_log_probs,
        ref_log_probs,
        loss_weight,
        sequence_metrics,
        metrics,
        sequences: lengths.len() as u32,
        settings,
    });
    (b, Operands { log_probs, loss_weight, found: sequence_metrics, metrics })
}

fn all_settings(has_old_log_probs: bool) -> impl Iterator<Item = GrpoSettings> {
    let settings = move |importance_sampling_level| {
        [(0.0, false), (0.3, false), (0.3, true)].map(|(beta, use_bias_correction_kl)| GrpoSettings {
            beta,
            use_bias_correction_kl,
            epsilon: 0.1,
            epsilon_high: 0.15,
            importance_sampling_level,
            has_old_log_probs,
            ..GrpoSettings::default()
        })
    };
    ImportanceSamplingLevel::ALL.into_iter().flat_map(settings)
}

#[test]
fn kernel_and_reference_agree() {
    let batches: [&[u32]; 4] = [&[1], &[7, 70, 9], &[2000, 64, 3, 1500], &[90, 40, 30, 20, 5, 260]];
    for lengths in batches {
        for settings in [false, true].into_iter().flat_map(all_settings) {
            let (b, Operands { loss_weight, found, metrics, .. }) = harness(lengths, settings);
            let each = [loss_weight, found, metrics].map(|id| (id, Tolerance::Norm(1e-5)));
            b.check(&each);
        }
    }
}

#[test]
fn weights_are_the_slope_of_the_loss() {
    for settings in all_settings(true) {
        let (b, Operands { log_probs, loss_weight, metrics, .. }) = harness(&[40, 30, 5, 6, 20, 90], settings);
        b.gradcheck(metrics, &[-1.0, 0.0, 0.0, 0.0], &[(log_probs, loss_weight)]);
    }
}
