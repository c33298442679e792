//! Loss, log-probabilities and every gradient are the same bits for all strategies and all lengths of chunks.

use streambp::gpu::Tuning;
use streambp::model::{Config, PRESETS, Parameters};
use streambp::step::{Batch, Program, Strategy};

use crate::support::device;
use crate::support::model::{self, DeviceStep};

/// Every strategy, and chunks that divide the batch, that do not, and that are longer than it.
fn strategies(tokens: u32) -> Vec<Strategy> {
    let lengths = [(64, 64), (128, 64), (64, 128), (192, 192), (448, 64), (tokens, 192), (tokens, tokens)];
    [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(lengths.map(|(chunk, logits)| Strategy::stream(chunk, logits))).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn assert_same_bits(config: &Config, what: &str, step: &DeviceStep, first: &DeviceStep) {
    assert!(step.loss.is_finite() && step.loss > 0.0, "{what}: the loss is {}", step.loss);
    assert_eq!(step.loss.to_bits(), first.loss.to_bits(), "{what}: loss {} and {}", step.loss, first.loss);
    assert!(bits(&step.log_probs) == bits(&first.log_probs), "{what}: log-probabilities");
    for (id, parameter) in Parameters::new(config).iter() {
        let (gradient, other) = (&step.gradients[id.0], &first.gradients[id.0]);
        assert!(gradient.iter().all(|value| value.is_finite()) && gradient.iter().any(|&value| value != 0.0), "{what}: {}", parameter.name);
        let different = gradient.iter().zip(other).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(different, 0, "{what}: {} differs in {different} of {} elements", parameter.name, gradient.len());
    }
}

/// Twice each strategy, so that nothing that a step leaves behind can matter to the next.
fn check(config: &Config, batch: &Batch, tuning: Tuning) {
    let weights = model::weights(config, 1);
    let mut first: Option<DeviceStep> = None;
    for strategy in strategies(batch.shape.tokens()) {
        let program = Program::gradients(config, batch.shape.clone(), strategy);
        let mut executor = model::device_executor(&program, tuning, &weights, batch);
        for time in ["first", "second"] {
            let step = model::device_step(&mut executor);
            let what = format!("{:?}, {strategy:?}, {time} time", batch.shape.lengths());
            assert_same_bits(config, &what, &step, first.as_ref().unwrap_or(&step));
            first.get_or_insert(step);
        }
    }
}

#[test]
fn one_sequence() {
    let config = model::odd_config();
    for tokens in [500, 512, 449] {
        check(&config, &model::batch(&config, &[tokens], 2), device::own_tuning());
    }
}

#[test]
fn several_sequences_with_a_tied_head() {
    let config = Config { tie_word_embeddings: true, hidden_size: 18, head_dim: 10, num_key_value_heads: 1, ..model::odd_config() };
    check(&config, &model::batch(&config, &[70, 1, 57, 64, 200, 108], 3), device::own_tuning());
}

#[test]
fn sizes_of_whole_tiles() {
    let config = Config { hidden_size: 32, head_dim: 8, intermediate_size: 48, vocab_size: 64, ..model::odd_config() };
    check(&config, &model::batch(&config, &[256, 192], 4), device::own_tuning());
}

#[test]
fn kernels_for_other_classes_of_adapter() {
    let config = model::odd_config();
    for tuning in device::tunings() {
        check(&config, &model::batch(&config, &[130, 1, 369], 5), tuning);
    }
}

#[test]
fn the_default_preset() {
    let config = &PRESETS[0].config;
    check(config, &model::batch(config, &[300, 724], 6), device::own_tuning());
}
