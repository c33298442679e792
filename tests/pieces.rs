//! Tensors of tokens that no binding can hold lie in several pieces. That changes no bit.

use streambp::gpu::{Executor, Kernels, Tuning};
use streambp::model::{ActivationDtype, Config, Dtype, ModelSpec, Projection};
use streambp::step::{Batch, Limits, Plan, Program, SavedActivations, Strategy, Tensor, TensorKind};

use crate::support::model::{self, DeviceStep};
use crate::support::{device, level};

/// The step on the device with those limits, and the most pieces of a tensor.
fn step(spec: &ModelSpec, batch: &Batch, strategy: Strategy, tuning: Tuning, limits: Limits) -> (DeviceStep, u32) {
    let program = Program::gradients(spec, batch.shape.clone(), strategy);
    let plan = Plan::new(program, limits).unwrap_or_else(|error| panic!("{strategy:?}: {error}"));
    let pieces = plan.program().tensors.iter().map(Tensor::pieces).max().unwrap();
    assert!(plan.buffers().iter().all(|buffer| buffer.bytes <= limits.buffer));
    let kernels = Kernels::new(&device::gpu().with_tuning(tuning), plan).unwrap();
    let mut executor = pollster::block_on(Executor::new(kernels)).unwrap();
    pollster::block_on(executor.load(&model::weights(spec, 1))).unwrap();
    executor.load_batch(batch);
    (model::device_step(&mut executor), pieces)
}

fn strategies() -> Vec<Strategy> {
    let saving = SavedActivations::NONE.with(streambp::step::SavedActivation::KeysValues, u32::MAX);
    vec![
        Strategy::stream(64, 64),
        Strategy::stream(320, 128),
        Strategy::stream(u32::MAX, 64),
        Strategy::STANDARD,
        Strategy::CHECKPOINT,
        Strategy::stream(128, 64).saving(saving),
        Strategy::stream(192, 64).offloading(true),
        Strategy::CHECKPOINT.offloading(true),
        Strategy::stream(128, 64).with_layer_group(2),
    ]
}

/// Keys and values in pieces of 1,024 tokens, hidden states in shorter ones.
#[test]
fn the_same_bits_in_pieces() {
    let odd = model::odd_config();
    let window = Config { sliding_window: 300, sliding_layers: vec![true, false], ..odd.clone() };
    let gemma = model::families().pop().unwrap();
    let cases = [
        (ModelSpec::from(&odd), vec![2500], device::own_tuning()),
        (ModelSpec::from(&window), vec![700, 1800], device::own_tuning()),
        (model::lora(&gemma, &Projection::ALL, Dtype::Bf16), vec![1200, 1, 1299], device::own_tuning()),
        (ModelSpec::from(&odd).with_activation_dtype(ActivationDtype::Bf16), vec![2500], device::own_tuning()),
        (ModelSpec::from(&odd), vec![2500], Tuning::GPU),
    ];
    for (number, (spec, lengths, tuning)) in cases.into_iter().enumerate() {
        let batch = model::batch(&spec.config, &lengths, 12);
        let (whole, pieces) = step(&spec, &batch, Strategy::stream(64, 64), tuning, Limits::NONE);
        assert_eq!(pieces, 1);
        // Keys of 1,024 tokens, and no more.
        let key_row = 4 * u64::from(spec.config.num_key_value_heads * spec.config.head_dim.next_multiple_of(4));
        let binding = key_row * 1024;
        for strategy in level::share(strategies(), 3, number) {
            let (cut, pieces) = step(&spec, &batch, strategy, tuning, Limits { binding, buffer: binding * 2 });
            assert!(pieces >= 3, "{pieces} pieces");
            assert!(cut.bits() == whole.bits(), "{:?}, {lengths:?}, {strategy:?}", spec.config.model_type);
        }
    }
}

/// A step whose hidden state, keys and values each need three bindings of the adapter itself, as lavapipe has them (128 MiB), and the same in
/// bindings of a third of that. It takes minutes, so only `--all` runs it.
#[test]
fn three_bindings_of_the_adapter() {
    let limits = device::gpu().limits();
    if !level::is_exhaustive() || limits.binding > 128 << 20 {
        return;
    }
    let config = Config { vocab_size: 64, ..Config::llama([1024, 64, 1, 16, 16, 64]) };
    let spec = model::lora(&config, &[Projection::Query, Projection::Value], Dtype::Bf16);
    let batch = model::batch(&config, &[512; 136], 13);
    let steps = [limits, Limits { binding: limits.binding / 3, ..limits }].map(|limits| {
        let program = Program::gradients(&spec, batch.shape.clone(), Strategy::stream(1024, 1024));
        let plan = Plan::new(program, limits).unwrap();
        for kind in [TensorKind::HiddenGradient, TensorKind::KeysValues, TensorKind::KeysValuesGradients] {
            assert!(plan.program().tensors.iter().any(|tensor| tensor.kind == kind && tensor.pieces() >= 3), "{kind:?}");
        }
        step(&spec, &batch, Strategy::stream(1024, 1024), device::own_tuning(), limits).0
    });
    assert!(steps[0].bits() == steps[1].bits());
}
