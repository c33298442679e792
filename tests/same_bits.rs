//! Loss, log-probabilities and all gradients are bit-identical for all strategies and chunk lengths.

use streambp::gpu::{DispatchLimit, TokenTile, Tuning};
use streambp::model::{Config, Dtype, ModelSpec, ModelType, PRESETS, Parameters, Projection};
use streambp::step::{Batch, Program, Strategy};

use crate::support::model::{self, DeviceStep};
use crate::support::{device, level};

/// All strategies, with chunks that divide the batch, that do not, and that are longer than it.
fn strategies(tokens: u32) -> Vec<Strategy> {
    let lengths = [(128, 64), (64, 128), (192, 192), (448, 64), (tokens, 192), (tokens, tokens)];
    [Strategy::STANDARD, Strategy::CHECKPOINT]
        .into_iter()
        .chain(lengths.map(|(chunk, logits)| Strategy::stream(chunk, logits)))
        .chain(model::selective_strategies())
        .collect()
}

/// By default a model is tested with one of this many strategies. Successive models get different ones, so that each strategy is tested with
/// several models.
const STRATEGIES_PER_TEST: usize = 5;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

pub fn assert_same_bits(spec: &ModelSpec, what: &str, step: &DeviceStep, first: &DeviceStep) {
    assert!(step.loss.is_finite() && step.loss > 0.0, "{what}: the loss is {}", step.loss);
    assert_eq!(step.loss.to_bits(), first.loss.to_bits(), "{what}: loss {} and {}", step.loss, first.loss);
    assert!(bits(&step.log_probs) == bits(&first.log_probs), "{what}: log-probabilities");
    for (i, (_, parameter)) in Parameters::new(spec).trainable().enumerate() {
        let (gradient, other) = (&step.gradients[i], &first.gradients[i]);
        // If a query sees only itself, its attention weight is 1 for any score, and the gradient of the score is 0.
        let is_score = ["self_attn.q_", "self_attn.k_"].iter().any(|part| parameter.name.contains(part));
        let has_effect = !(is_score && parameter.layer.is_some_and(|layer| spec.config.window(layer) == Some(1)));
        assert!(gradient.iter().all(|value| value.is_finite()), "{what}: {}", parameter.name);
        assert!(!has_effect || gradient.iter().any(|&value| value != 0.0), "{what}: {}", parameter.name);
        let different = gradient.iter().zip(other).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(different, 0, "{what}: {} differs in {different} of {} elements", parameter.name, gradient.len());
    }
}

/// Runs the step with the shortest chunks twice, so that a dependence on the state of the last step would show. Then compares the other
/// strategies with it. `number` numbers the models of a test.
fn check(number: usize, spec: impl Into<ModelSpec>, batch: &Batch, tuning: Tuning) {
    let spec = spec.into();
    let weights = model::weights(&spec, 1);
    let executor = |strategy| {
        let program = Program::gradients(&spec, batch.shape.clone(), strategy);
        model::device_executor(&program, tuning, &weights, batch)
    };
    let what = |strategy| format!("{:?}, {:?}, {strategy:?}", spec.config.model_type, batch.shape.lengths());
    let shortest = Strategy::stream(64, 64);
    let mut repeated = executor(shortest);
    let first = model::device_step(&mut repeated);
    assert_same_bits(&spec, &what(shortest), &model::device_step(&mut repeated), &first);
    for strategy in level::share(strategies(batch.shape.tokens()), STRATEGIES_PER_TEST, number) {
        let mut executor = executor(strategy);
        for _ in 0..if level::is_exhaustive() { 2 } else { 1 } {
            assert_same_bits(&spec, &what(strategy), &model::device_step(&mut executor), &first);
        }
    }
}

#[test]
fn one_sequence() {
    let config = model::odd_config();
    for (number, tokens) in [500, 512, 449].into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[tokens], 2), device::own_tuning());
    }
}

#[test]
fn several_sequences_with_a_tied_head() {
    let config = Config { tie_word_embeddings: true, hidden_size: 18, head_dim: 10, num_key_value_heads: 1, ..model::odd_config() };
    check(3, &config, &model::batch(&config, &[70, 1, 57, 64, 200, 108], 3), device::own_tuning());
}

#[test]
fn sizes_of_whole_tiles() {
    let config = Config { hidden_size: 32, head_dim: 8, intermediate_size: 48, vocab_size: 64, ..model::odd_config() };
    check(4, &config, &model::batch(&config, &[256, 192], 4), device::own_tuning());
}

#[test]
fn kernels_for_other_classes_of_adapter() {
    let config = model::odd_config();
    for (number, tuning) in device::tunings().into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[130, 1, 369], 5), tuning);
    }
}

/// Chunks of another length may have tiles of another size.
#[test]
fn tiles_of_every_size() {
    let config = Config { hidden_size: 80, head_dim: 16, intermediate_size: 144, ..model::odd_config() };
    let batch = model::batch(&config, &[130, 1, 369], 5);
    let (program, weights) = (Program::gradients(&config, batch.shape.clone(), Strategy::stream(192, 192)), model::weights(&config, 1));
    let [smallest, largest] = device::gpu_tunings();
    let narrow = |tile| TokenTile { vec4s: 1, ..tile };
    let between = Tuning { linear: narrow(largest.linear), linear_grad: narrow(largest.linear_grad), busy_workgroups: 12, ..largest };
    let step = |tuning| model::device_step(&mut model::device_executor(&program, tuning, &weights, &batch));
    let first = step(largest);
    for tuning in [between, smallest] {
        assert_same_bits(&(&config).into(), &format!("{tuning:?}"), &step(tuning), &first);
    }
}

/// Fused operations give the bits of separate dispatches. By default, operations are fused only on GPUs.
#[test]
fn fused_operations() {
    let adapted = model::lora(&PRESETS[0].config, &Projection::ALL, Dtype::Bf16);
    let specs = model::families().into_iter().map(|config| ModelSpec::from(&config)).chain([adapted]);
    let tunings: &[Tuning] = if level::is_exhaustive() { &[Tuning::GPU, device::own_tuning()] } else { &[Tuning::GPU] };
    let cases = level::share(specs, 3, 0).into_iter().flat_map(|spec| tunings.iter().map(move |&tuning| (spec.clone(), tuning)));
    for (spec, tuning) in cases {
        let batch = model::batch(&spec.config, &[130, 70], 5);
        let program = Program::gradients(&spec, batch.shape.clone(), Strategy::stream(64, 64));
        let weights = model::weights(&spec, 1);
        let [separate, fused] = [1, 8].map(|limit| {
            let tuning = Tuning { max_parallel_fused: limit, max_sequential_fused: limit, ..tuning };
            model::device_step(&mut model::device_executor(&program, tuning, &weights, &batch))
        });
        assert_same_bits(&spec, &format!("{:?}, {tuning:?}", spec.config.model_type), &fused, &separate);
    }
}

#[test]
fn the_default_preset() {
    let config = &PRESETS[0].config;
    let lengths = if level::is_exhaustive() { [300, 724] } else { [150, 298] };
    check(0, config, &model::batch(config, &lengths, 6), device::own_tuning());
}

#[test]
fn every_family() {
    for (number, config) in model::families().into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[130, 1, 369], 7), device::own_tuning());
    }
}

/// A dispatch that would take too long is cut into parts, which give the bits of the whole.
#[test]
fn cut_dispatches() {
    let long = Config { num_hidden_layers: 1, ..model::odd_config() };
    let windows = Config { sliding_window: 1500, sliding_layers: vec![true], ..long.clone() };
    let cases = model::families().into_iter().map(|config| (config, vec![130, 1, 369], device::own_tuning()));
    // Sequences with several blocks of keys, each of which may have a dispatch of its own.
    let long = [
        (long.clone(), vec![2200], device::own_tuning()),
        (windows, vec![70, 2130], device::own_tuning()),
        (long, vec![2200], Tuning::GPU),
    ];
    for (config, lengths, tuning) in cases.chain(long) {
        let batch = model::batch(&config, &lengths, 7);
        let program = Program::gradients(&config, batch.shape.clone(), Strategy::CHECKPOINT);
        let mut executor = model::device_executor(&program, tuning, &model::weights(&config, 1), &batch);
        let whole = model::device_step(&mut executor);
        // The last cuts the keys of several tiles of queries at once.
        let by_workgroup = DispatchLimit { work: 20_000_000, workgroup_work: 100_000 };
        for limit in [DispatchLimit::of(1_000_000), DispatchLimit::of(50_000), by_workgroup] {
            executor.limit_dispatches(limit);
            let what = format!("{:?}, {lengths:?}, {limit:?}", config.model_type);
            assert_same_bits(&ModelSpec::from(&config), &what, &model::device_step(&mut executor), &whole);
        }
    }
}

#[test]
fn windows() {
    for (number, config) in model::windows().into_iter().enumerate() {
        let batch = model::batch(&config, &[130, 1, 369], 7);
        for (strategy, rings) in [(Strategy::stream(64, 64), true), (Strategy::CHECKPOINT, false)] {
            assert_eq!(model::has_rings(&Program::gradients(&config, batch.shape.clone(), strategy)), rings);
        }
        check(number + 1, &config, &batch, device::own_tuning());
    }
}

#[test]
fn adapters_on_frozen_weights() {
    let all: &[Projection] = &Projection::ALL;
    let cases = [
        (model::odd_config(), all, Dtype::Bf16),
        (model::families().pop().unwrap(), all, Dtype::F16),
        (Config { model_type: ModelType::Qwen3, ..model::odd_config() }, &[Projection::Query, Projection::Down][..], Dtype::Int8),
    ];
    for (number, (config, targets, frozen)) in cases.into_iter().enumerate() {
        check(number, model::lora(&config, targets, frozen), &model::batch(&config, &[130, 1, 369], 8), device::own_tuning());
    }
    // Adapters in some layers: what lies below them has no backward pass.
    for (number, config) in [Config { num_hidden_layers: 4, ..model::odd_config() }, model::windows().remove(0)].into_iter().enumerate() {
        let last = config.num_hidden_layers - 1;
        check(number, model::lora_in(&config, &[last - 1]), &model::batch(&config, &[130, 1, 369], 9), device::own_tuning());
    }
}

/// Layers that go backward together see their chunks in the same order as each on its own.
#[test]
fn groups_of_layers() {
    let four_layers = |config: Config| {
        let windows = config.sliding_layers.len();
        let sliding_layers = (0..if windows == 0 { 0 } else { 4 }).map(|layer| config.sliding_layers[layer % windows]).collect();
        Config { num_hidden_layers: 4, sliding_layers, ..config }
    };
    let configs: Vec<Config> = model::families().into_iter().chain(model::windows()).map(four_layers).collect();
    let adapted = [model::lora(&configs[0], &Projection::ALL, Dtype::Bf16), model::lora_in(&configs[4], &[1, 3])];
    for (number, spec) in configs.iter().map(ModelSpec::from).chain(adapted).enumerate() {
        let batch = model::batch(&spec.config, &[130, 1, 369], 11);
        let weights = model::weights(&spec, 1);
        let step = |strategy| {
            let program = Program::gradients(&spec, batch.shape.clone(), strategy);
            model::device_step(&mut model::device_executor(&program, device::own_tuning(), &weights, &batch))
        };
        let first = step(Strategy::stream(64, 64));
        for strategy in level::share(model::grouped_strategies(), 5, number) {
            assert_same_bits(&spec, &format!("{:?}, {strategy:?}", spec.config.model_type), &step(strategy), &first);
        }
    }
}

/// The matrices of adapters may exceed a binding too. Sums over their rows are split where slices of whole vocabulary tiles begin.
#[test]
fn adapters_in_several_slices() {
    let config = Config { intermediate_size: 2100, ..model::odd_config() };
    let spec = model::lora_of_rank(&config, 9, &[Projection::Gate, Projection::Up], Dtype::Bf16);
    let batch = model::batch(&spec.config, &[130, 70], 10);
    let weights = model::weights(&spec, 1);
    let step = |max_slice_bytes: u64| {
        let spec = ModelSpec { max_slice_bytes, ..spec.clone() };
        let program = Program::gradients(&spec, batch.shape.clone(), Strategy::stream(64, 128));
        let mut executor = model::device_executor(&program, device::own_tuning(), &weights, &batch);
        (program.tensors.len(), model::device_step(&mut executor))
    };
    let ((tensors, whole), (others, split)) = (step(1 << 27), step(1100 * 12 * 4));
    assert!(others > tensors, "no matrix was split");
    assert_same_bits(&spec, "adapters in several slices", &split, &whole);
}

/// A vocabulary in several slices and several ranges of logits gives the bits of one slice and one range.
#[test]
fn split_matrices_and_ranges_of_the_vocabulary() {
    let config = Config { vocab_size: 2500, ..model::odd_config() };
    let batch = model::batch(&config, &[130, 70], 9);
    let weights = model::weights(&config, 1);
    let step = |max_slice_bytes: u64, strategy: Strategy| {
        let spec = ModelSpec { max_slice_bytes, ..ModelSpec::from(&config) };
        let program = Program::gradients(&spec, batch.shape.clone(), strategy);
        let mut executor = model::device_executor(&program, device::own_tuning(), &weights, &batch);
        (program.tensors.len(), spec, model::device_step(&mut executor))
    };
    let (tensors, _, whole) = step(1 << 27, Strategy::stream(64, 128));
    for max_slice_bytes in [1 << 27, 1100 * 12 * 4] {
        for strategy in [Strategy::stream(64, 128).with_logits_bytes(1), Strategy::stream(128, 64).with_logits_bytes(2048 * 64 * 4)] {
            let (others, spec, split) = step(max_slice_bytes, strategy);
            assert!(others > tensors, "no matrix was split");
            assert_same_bits(&spec, &format!("slices of {max_slice_bytes} bytes, {strategy:?}"), &split, &whole);
        }
    }
}
