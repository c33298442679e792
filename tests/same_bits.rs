//! Loss, log-probabilities and every gradient are the same bits for all strategies and all lengths of chunks.

use streambp::gpu::Tuning;
use streambp::model::{Config, Layout, ModelType, PRESETS, Parameters, Precision, Projection};
use streambp::step::{Batch, Program, Strategy};

use crate::support::device;
use crate::support::model::{self, DeviceStep};

/// Every strategy, and chunks that divide the batch, that do not, and that are longer than it.
fn strategies(tokens: u32) -> Vec<Strategy> {
    let lengths = [(64, 64), (128, 64), (64, 128), (192, 192), (448, 64), (tokens, 192), (tokens, tokens)];
    [Strategy::STANDARD, Strategy::CHECKPOINT]
        .into_iter()
        .chain(lengths.map(|(chunk, logits)| Strategy::stream(chunk, logits)))
        .chain(model::between())
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn assert_same_bits(layout: &Layout, what: &str, step: &DeviceStep, first: &DeviceStep) {
    assert!(step.loss.is_finite() && step.loss > 0.0, "{what}: the loss is {}", step.loss);
    assert_eq!(step.loss.to_bits(), first.loss.to_bits(), "{what}: loss {} and {}", step.loss, first.loss);
    assert!(bits(&step.log_probs) == bits(&first.log_probs), "{what}: log-probabilities");
    for (i, (_, parameter)) in Parameters::new(layout).trained().enumerate() {
        let (gradient, other) = (&step.gradients[i], &first.gradients[i]);
        // Where a query sees nothing but itself, its weight is 1 whatever its score is.
        let is_score = ["self_attn.q_", "self_attn.k_"].iter().any(|part| parameter.name.contains(part));
        let has_effect = !(is_score && parameter.layer.is_some_and(|layer| layout.config.window(layer) == Some(1)));
        assert!(gradient.iter().all(|value| value.is_finite()), "{what}: {}", parameter.name);
        assert!(!has_effect || gradient.iter().any(|&value| value != 0.0), "{what}: {}", parameter.name);
        let different = gradient.iter().zip(other).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(different, 0, "{what}: {} differs in {different} of {} elements", parameter.name, gradient.len());
    }
}

/// Twice each strategy, so that nothing that a step leaves behind can matter to the next.
fn check(layout: impl Into<Layout>, batch: &Batch, tuning: Tuning) {
    let layout = layout.into();
    let weights = model::weights(&layout, 1);
    let mut first: Option<DeviceStep> = None;
    for strategy in strategies(batch.shape.tokens()) {
        let program = Program::gradients(&layout, batch.shape.clone(), strategy);
        let mut executor = model::device_executor(&program, tuning, &weights, batch);
        for time in ["first", "second"] {
            let step = model::device_step(&mut executor);
            let what = format!("{:?}, {:?}, {strategy:?}, {time} time", layout.config.model_type, batch.shape.lengths());
            assert_same_bits(&layout, &what, &step, first.as_ref().unwrap_or(&step));
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

/// Several operations in one dispatch do what each does by itself.
#[test]
fn operations_that_go_together() {
    let own = device::own_tuning();
    let adapted = model::lora(&PRESETS[0].config, &Projection::ALL, Precision::Bf16);
    let layouts = model::families().into_iter().map(|config| Layout::from(&config)).chain([adapted]);
    for (layout, tuning) in layouts.flat_map(|layout| [(layout.clone(), own), (layout, Tuning::GPU)]) {
        let batch = model::batch(&layout.config, &[130, 70], 5);
        let program = Program::gradients(&layout, batch.shape.clone(), Strategy::stream(64, 64));
        let weights = model::weights(&layout, 1);
        let [alone, together] = [1, 8].map(|most| {
            let tuning = Tuning { beside: most, in_turn: most, ..tuning };
            model::device_step(&mut model::device_executor(&program, tuning, &weights, &batch))
        });
        assert_same_bits(&layout, &format!("{:?}, {tuning:?}", layout.config.model_type), &together, &alone);
    }
}

#[test]
fn the_default_preset() {
    let config = &PRESETS[0].config;
    check(config, &model::batch(config, &[300, 724], 6), device::own_tuning());
}

#[test]
fn every_family() {
    for config in model::families() {
        check(&config, &model::batch(&config, &[130, 1, 369], 7), device::own_tuning());
    }
}

#[test]
fn windows() {
    for config in model::windows() {
        let batch = model::batch(&config, &[130, 1, 369], 7);
        for (strategy, rings) in [(Strategy::stream(64, 64), true), (Strategy::CHECKPOINT, false)] {
            assert_eq!(model::has_rings(&Program::gradients(&config, batch.shape.clone(), strategy)), rings);
        }
        check(&config, &batch, device::own_tuning());
    }
}

#[test]
fn adapters_on_frozen_weights() {
    let all: &[Projection] = &Projection::ALL;
    let layouts = [
        (model::odd_config(), all, Precision::Bf16),
        (model::families().pop().unwrap(), all, Precision::F16),
        (Config { model_type: ModelType::Qwen3, ..model::odd_config() }, &[Projection::Query, Projection::Down][..], Precision::Int8),
    ];
    for (config, targets, frozen) in layouts {
        check(model::lora(&config, targets, frozen), &model::batch(&config, &[130, 1, 369], 8), device::own_tuning());
    }
}

/// Adapters' own matrices may be larger than a binding too.
#[test]
fn adapters_that_are_cut() {
    let layout = model::lora(&model::odd_config(), &Projection::ALL, Precision::Bf16);
    let batch = model::batch(&layout.config, &[130, 70], 10);
    let weights = model::weights(&layout, 1);
    let step = |part_bytes: u64| {
        let layout = Layout { part_bytes, ..layout.clone() };
        let program = Program::gradients(&layout, batch.shape.clone(), Strategy::stream(64, 128));
        let mut executor = model::device_executor(&program, device::own_tuning(), &weights, &batch);
        (program.tensors.len(), model::device_step(&mut executor))
    };
    let ((tensors, whole), (others, cut)) = (step(1 << 27), step(1));
    assert!(others > tensors, "something is cut");
    assert_same_bits(&layout, "adapters in several tensors", &cut, &whole);
}

/// A vocabulary in several tensors and several blocks of logits gives the bits of one tensor and one block.
#[test]
fn cut_matrices_and_blocks_of_words() {
    let config = Config { vocab_size: 2500, ..model::odd_config() };
    let batch = model::batch(&config, &[130, 70], 9);
    let weights = model::weights(&config, 1);
    let step = |part_bytes: u64, strategy: Strategy| {
        let layout = Layout { part_bytes, ..Layout::from(&config) };
        let program = Program::gradients(&layout, batch.shape.clone(), strategy);
        let mut executor = model::device_executor(&program, device::own_tuning(), &weights, &batch);
        (program.tensors.len(), layout, model::device_step(&mut executor))
    };
    let (tensors, _, whole) = step(1 << 27, Strategy::stream(64, 128));
    for part_bytes in [1 << 27, 1100 * 12 * 4] {
        for strategy in [Strategy::stream(64, 128).with_logits_bytes(1), Strategy::stream(128, 64).with_logits_bytes(2048 * 64 * 4)] {
            let (others, layout, cut) = step(part_bytes, strategy);
            assert!(others > tensors, "something is cut");
            assert_same_bits(&layout, &format!("parts of {part_bytes} bytes, {strategy:?}"), &cut, &whole);
        }
    }
}
