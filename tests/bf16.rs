//! Activations in bf16: how they are rounded, that rounding depends on no strategy, and what it costs.

use half::bf16;
use streambp::gpu::Tuning;
use streambp::model::{ActivationDtype, Axis, Config, Dtype, ModelSpec, PRESETS, Parameters, Projection, RandomInit, Weights};
use streambp::step::ops::{Embedding, Operand};
use streambp::step::{Element, OpInstance, Pass, Precision, Program, SavedActivations, Storage, Strategy};

use crate::support::model::{self, DeviceStep};
use crate::support::op_harness::{OpHarness, Shape};
use crate::support::{compare, device, level};

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
    let deep = |config: Config| Config {
        num_hidden_layers: 3,
        sliding_layers: [config.sliding_layers, vec![true; 3]].concat()[..3].to_vec(),
        ..config
    };
    let windows = model::windows().into_iter().filter(|config| config.num_hidden_layers == 2).map(deep);
    let full = model::families().into_iter().chain(windows);
    let adapted = [
        model::lora(&model::odd_config(), &Projection::ALL, Dtype::Bf16),
        model::lora(&model::families().pop().unwrap(), &[Projection::Query, Projection::Down], Dtype::Int8),
        model::lora_in(&Config { num_hidden_layers: 4, ..model::odd_config() }, &[2]),
    ];
    // Sums of several blocks, which registers hold.
    let wide = Config { hidden_size: 1040, intermediate_size: 1100, num_hidden_layers: 2, ..model::odd_config() };
    full.map(|config| ModelSpec::from(&config))
        .chain(adapted)
        .chain([ModelSpec::from(&wide), model::lora(&wide, &Projection::ALL, Dtype::Bf16)])
        .map(in_bf16)
        .collect()
}

#[test]
fn same_bits_for_every_strategy() {
    let lengths = [130, 1, 369];
    for (number, spec) in level::share(specs().into_iter().enumerate(), 2, 0) {
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
    for spec in level::share(specs(), 8, 1) {
        let [separate, fused] = [1, 8].map(|limit| {
            let tuning = Tuning { max_parallel_fused: limit, max_sequential_fused: limit, ..Tuning::GPU };
            step(&spec, Strategy::stream(64, 64), &[130, 70], tuning)
        });
        assert!(fused.bits() == separate.bits(), "{:?}", spec.config.model_type);
    }
}

/// The largest error of a parameter's gradient, relative to the larger of its own norm and 1 % of that of its layer.
fn worst_error(spec: &ModelSpec, found: &[Vec<f64>], exact: &[Vec<f64>]) -> (f64, String) {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let parameters = Parameters::new(spec);
    let named: Vec<_> = parameters.trainable().map(|(_, parameter)| parameter).collect();
    let of_layer =
        |layer| norm(&mut named.iter().zip(exact).filter(|(p, _)| p.layer == layer).flat_map(|(_, values)| values.iter().copied()));
    let errors = named.iter().zip(found.iter().zip(exact)).map(|(parameter, (found, exact))| {
        let distance = norm(&mut found.iter().zip(exact).map(|(&found, exact)| found - exact));
        let size = norm(&mut exact.iter().copied()).max(0.01 * of_layer(parameter.layer));
        (distance / size, parameter.name.clone())
    });
    errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("something learns")
}

/// Models of every family in sizes whose rows are no handful of numbers, with the weights of a first step: one value that is rounded the other
/// way changes all that is computed from it, and the fewer values a row has, the more.
fn first_steps() -> Vec<(ModelSpec, Weights)> {
    let sized = |config: Config| {
        let config = Config { hidden_size: 64, intermediate_size: 176, vocab_size: 256, ..config };
        ModelSpec::from(&Config { head_dim: 16, num_attention_heads: 4, num_key_value_heads: 2, ..config })
    };
    let adapted = model::lora(&PRESETS[0].config, &Projection::ALL, Dtype::Bf16);
    let specs = model::families().into_iter().map(sized).chain([adapted]).map(in_bf16);
    let with_weights = |spec: ModelSpec| {
        let parameters = Parameters::new(&spec);
        let weights = Weights::read(&RandomInit { seed: 0 }, parameters.iter().map(|(_, parameter)| parameter));
        (spec, pollster::block_on(weights).unwrap())
    };
    specs.map(with_weights).collect()
}

/// Two steps that round differ as much as each does from float64, as soon as one value lies near the middle of two. So the device is to be as
/// close to float64 as the reference that rounds.
#[test]
fn gradients_are_as_close_to_float64_as_rounding_allows() {
    for (spec, weights) in first_steps() {
        let batch = model::batch(&spec.config, &[70, 1, 130], 7);
        let program = Program::gradients(&spec, batch.shape.clone(), Strategy::stream(64, 64));
        let found = model::device_step(&mut model::device_executor(&program, device::own_tuning(), &weights, &batch));
        let in_f32 = spec.clone().with_activation_dtype(ActivationDtype::F32);
        let (loss, exact) = model::reference_step(in_f32, &weights, &batch, Strategy::STANDARD);
        let (_, rounded) = model::reference_step(&spec, &weights, &batch, Strategy::STANDARD);
        let [(of_device, name), (of_reference, _)] =
            [worst_error(&spec, &widened(&found.gradients), &exact), worst_error(&spec, &rounded, &exact)];
        let what = format!("{:?}: {name} is off by {of_device:.2e}, the reference by {of_reference:.2e}", spec.config.model_type);
        assert!((f64::from(found.loss) - loss).abs() < 1e-3 * loss, "{} and {loss}", found.loss);
        assert!(of_device < 6e-2 && of_device < 1.5 * of_reference, "{what}");
    }
}

fn widened(values: &[Vec<f32>]) -> Vec<Vec<f64>> {
    values.iter().map(|values| values.iter().copied().map(f64::from).collect()).collect()
}

/// Every operation of a step stores what the reference stores of the same operands, but for a unit in the last place of a few.
#[test]
fn operations_round_where_the_reference_does() {
    for spec in level::share(specs(), 4, 0) {
        let (batch, weights) = (model::batch(&spec.config, &[70, 60], 7), model::weights(&spec, 1));
        let program = Program::gradients(&spec, batch.shape.clone(), Strategy::stream(64, 64));
        let mut on_device = model::device_executor(&program, device::own_tuning(), &weights, &batch);
        on_device.load_batch_in_full(&batch);
        let mut reference = model::reference_executor(&program, &weights, &batch);
        let numbers = program.span(Pass::GRADIENTS);
        let instances: Vec<OpInstance> = program.instances(numbers.clone()).collect();
        for (number, instance) in numbers.zip(instances) {
            let op = program.op(instance.block, instance.node);
            let of_arena = op.operands().into_iter().filter(|operand| program.tensor(operand.tensor).storage == Storage::Arena);
            let operands: Vec<Operand> = of_arena.collect();
            operands.iter().for_each(|operand| reference.write_f64(operand.tensor, &device::read_f64(&on_device, operand.tensor)));
            pollster::block_on(on_device.run_instances(number..number + 1)).unwrap();
            reference.run_instance(instance);
            for operand in operands.iter().filter(|operand| operand.is_written()) {
                let is_rounded = program.precision(op, operand.tensor) != Precision::F32;
                let what = format!("{:?}: {} of {:?}", spec.config.model_type, program.tensor(operand.tensor).name, op.kind());
                check_stored(&what, &device::read_f64(&on_device, operand.tensor), reference.read(operand.tensor), is_rounded);
            }
        }
    }
}

/// Compares what is stored. What memory held before an operation may be no number; what ought to be zero may be little.
fn check_stored(what: &str, found: &[f64], expected: &[f64], is_rounded: bool) {
    let pairs = || found.iter().zip(expected).filter(|(_, expected)| expected.is_finite());
    let largest = pairs().fold(0.0, |largest: f64, (_, value)| largest.max(value.abs()));
    let unit = |value: f64| if is_rounded { compare::bf16_unit(value) } else { 0.0 };
    for (found, expected) in pairs() {
        assert!((found - expected).abs() <= 1e-5 * largest + 1e-7 + unit(*expected), "{what}: {found} and {expected}");
    }
    let different = pairs().filter(|(found, expected)| found != expected).count();
    assert!(!is_rounded || different * 20 <= found.len(), "{what}: {different} of {} differ", found.len());
}

/// What is added to in memory stays f32, and so do statistics, logits and what flows back.
#[test]
fn only_activations_are_rounded() {
    let spec = in_bf16(&model::families().pop().unwrap());
    let program =
        Program::gradients(&spec, model::batch(&spec.config, &[200], 7).shape, Strategy::CHECKPOINT.saving(SavedActivations::ALL));
    for (_, tensor) in program.tensors() {
        let name = tensor.name.rsplit_once("layers.").map_or(&*tensor.name, |(_, name)| name.split_once('.').unwrap().1);
        let is_rounded = tensor.element == Element::Float(Dtype::Bf16);
        let expected = ["input", "k", "v", "q", "raw_k", "raw_q", "gate", "up", "mlp", "post_attention", "attention_norm", "mlp_norm"];
        let others = ["final_norm", "raw_o_proj", "raw_down_proj"];
        assert_eq!(is_rounded, expected.contains(&name) || others.contains(&name), "{}", tensor.name);
    }
}
