//! Activations in bf16: how they are rounded, that rounding depends on no strategy, and what it costs.

use half::bf16;
use streambp::gpu::Tuning;
use streambp::model::{ActivationDtype, Axis, Config, Dtype, ModelSpec, Parameters, Projection};
use streambp::step::ops::Embedding;
use streambp::step::{Element, Program, SavedActivations, Strategy};

use crate::support::model::{self, DeviceStep};
use crate::support::op_harness::{OpHarness, Shape};
use crate::support::{device, level};

/// By default a model is tested with one of this many strategies, successive models with different ones.
const STRATEGIES_PER_TEST: usize = 12;

fn in_bf16(spec: impl Into<ModelSpec>) -> ModelSpec {
    spec.into().with_activation_dtype(ActivationDtype::Bf16)
}

fn step(spec: &ModelSpec, strategy: Strategy, lengths: &[u32], tuning: Tuning) -> DeviceStep {
    let (batch, weights) = (model::batch(&spec.config, lengths, 7), model::weights(spec, 1));
    let program = Program::gradients(spec, batch.shape.clone(), strategy);
    model::device_step(&mut model::device_executor(&program, tuning, &weights, &batch))
}

/// Every kind of float: around the middle of two neighbours, beyond the largest, below the smallest normal one, and none at all.
fn floats() -> Vec<f32> {
    let around = |bits: u32| [0x7ffe, 0x7fff, 0x8000, 0x8001, 0xffff].map(|low| f32::from_bits(bits << 16 | low));
    let uppers = [0x3f80, 0x3f81, 0x4049, 0x7f7f, 0x0080, 0x0001, 0x0000, 0x007f];
    let special = [0.0, f32::MAX, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE, f32::from_bits(0x7f80_0001), f32::from_bits(1)];
    uppers.into_iter().flat_map(around).chain(special).flat_map(|value| [value, -value]).collect()
}

#[test]
fn what_is_stored_is_the_nearest_bf16() {
    let mut values = floats();
    values.resize(values.len().next_multiple_of(4), 1.0);
    let cols = Axis::flat(values.len() as u32);
    let config = Config { hidden_size: cols.size(), vocab_size: 4, ..model::odd_config() };
    for tuning in device::tunings() {
        let mut b = OpHarness::new(&config, &Shape::whole(&[3]));
        let weight = b.matrix("weight", Axis::flat(4), cols);
        b.values(weight)[..values.len()].copy_from_slice(&values);
        let input_ids = b.program().bindings.input_ids;
        b.indices(input_ids, vec![0; 3]);
        let out = b.stored_output("out", cols, Dtype::Bf16);
        b.op(Embedding { input_ids, weight, out, first_id: 0 });
        let stored = b.on_device_with(tuning, out);
        for (&value, &stored) in values.iter().zip(&stored) {
            let nearest = bf16::from_f32(value).to_f32();
            let is_it = nearest.to_bits() == stored.to_bits() || nearest.is_nan() && stored.is_nan();
            assert!(is_it, "{value:e} ({:#x}) is stored as {stored:e}, not as {nearest:e}", value.to_bits());
        }
    }
}

/// All strategies that differ in where an activation lies, and when it is rounded.
fn strategies(tokens: u32) -> Vec<Strategy> {
    let streams = [64, 128, 448, tokens].map(|chunk| Strategy::stream(chunk, 64));
    let plain = [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams);
    plain.chain(model::selective_strategies()).chain(model::grouped_strategies()).collect()
}

fn specs() -> Vec<ModelSpec> {
    let deep = |config: Config| Config { num_hidden_layers: 3, sliding_layers: [config.sliding_layers, vec![true; 3]].concat()[..3].to_vec(), ..config };
    let windows = model::windows().into_iter().filter(|config| config.num_hidden_layers == 2).map(deep);
    let full = model::families().into_iter().chain(windows);
    let adapted = [
        model::lora(&model::odd_config(), &Projection::ALL, Dtype::Bf16),
        model::lora(&model::families().pop().unwrap(), &[Projection::Query, Projection::Down], Dtype::Int8),
        model::lora_in(&Config { num_hidden_layers: 4, ..model::odd_config() }, &[2]),
    ];
    // Sums of several blocks, which registers hold.
    let wide = Config { hidden_size: 1040, intermediate_size: 1100, num_hidden_layers: 2, ..model::odd_config() };
    full.map(|config| ModelSpec::from(&config)).chain(adapted).chain([ModelSpec::from(&wide), model::lora(&wide, &Projection::ALL, Dtype::Bf16)]).map(in_bf16).collect()
}

#[test]
fn same_bits_for_every_strategy() {
    let lengths = [130, 1, 369];
    for (number, spec) in specs().into_iter().enumerate() {
        let first = step(&spec, Strategy::stream(64, 64), &lengths, device::own_tuning());
        assert!(first.loss.is_finite() && first.gradients.iter().flatten().all(|value| value.is_finite()));
        for strategy in level::share(strategies(500), STRATEGIES_PER_TEST, number) {
            let other = step(&spec, strategy, &lengths, device::own_tuning());
            assert!(other.bits() == first.bits(), "{:?}, {strategy:?}", spec.config.model_type);
        }
    }
}

/// Where an operation goes on with what another has stored, it goes on with what was rounded.
#[test]
fn same_bits_of_fused_operations() {
    for spec in level::share(specs(), 4, 1) {
        let [separate, fused] = [1, 8].map(|limit| {
            let tuning = Tuning { max_parallel_fused: limit, max_sequential_fused: limit, ..Tuning::GPU };
            step(&spec, Strategy::stream(64, 64), &[130, 70], tuning)
        });
        assert!(fused.bits() == separate.bits(), "{:?}", spec.config.model_type);
    }
}

/// The largest error of a parameter's gradient, relative to the larger of its own norm and 1 % of that of its layer.
fn worst_error(spec: &ModelSpec, found: &[Vec<f32>], exact: &[Vec<f64>]) -> (f64, String) {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let parameters = Parameters::new(spec);
    let named: Vec<_> = parameters.trainable().map(|(_, parameter)| parameter).collect();
    let of_layer = |layer| norm(&mut named.iter().zip(exact).filter(|(p, _)| p.layer == layer).flat_map(|(_, values)| values.iter().copied()));
    let errors = named.iter().zip(found.iter().zip(exact)).map(|(parameter, (found, exact))| {
        let distance = norm(&mut found.iter().zip(exact).map(|(&found, exact)| f64::from(found) - exact));
        let size = norm(&mut exact.iter().copied()).max(0.01 * of_layer(parameter.layer));
        (distance / size, parameter.name.clone())
    });
    errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("something learns")
}

#[test]
fn gradients_are_those_of_the_reference() {
    for spec in specs() {
        let lengths = [70, 1, 130];
        let (batch, weights) = (model::batch(&spec.config, &lengths, 7), model::weights(&spec, 1));
        let found = step(&spec, Strategy::stream(64, 64), &lengths, device::own_tuning());
        let what = |bound, (error, name): (f64, String)| {
            assert!(error < bound, "{:?}: {name} is off by {error:.2e}, more than {bound:e}", spec.config.model_type);
        };
        let (loss, rounded) = model::reference_step(&spec, &weights, &batch, Strategy::STANDARD);
        assert!((f64::from(found.loss) - loss).abs() < 1e-4 * loss, "{} and {loss}", found.loss);
        what(1e-3, worst_error(&spec, &found.gradients, &rounded));
        let exact = spec.clone().with_activation_dtype(ActivationDtype::F32);
        let (_, exact) = model::reference_step(exact, &weights, &batch, Strategy::STANDARD);
        what(3e-2, worst_error(&spec, &found.gradients, &exact));
    }
}

/// What is added to in memory stays f32, and so do statistics, logits and what flows back.
#[test]
fn only_activations_are_rounded() {
    let spec = in_bf16(&model::families().pop().unwrap());
    let program = Program::gradients(&spec, model::batch(&spec.config, &[200], 7).shape, Strategy::CHECKPOINT.saving(SavedActivations::ALL));
    for (_, tensor) in program.tensors() {
        let name = tensor.name.rsplit_once("layers.").map_or(&*tensor.name, |(_, name)| name.split_once('.').unwrap().1);
        let is_rounded = tensor.element == Element::Float(Dtype::Bf16);
        let expected = ["input", "k", "v", "q", "raw_k", "raw_q", "gate", "up", "mlp", "post_attention", "attention_norm", "mlp_norm"];
        let others = ["final_norm", "raw_o_proj", "raw_down_proj"];
        assert_eq!(is_rounded, expected.contains(&name) || others.contains(&name), "{}", tensor.name);
    }
}
