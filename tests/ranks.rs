//! Loss and gradients of a batch whose tokens lie on several ranks: the same bits as on one device.

use streambp::model::{Config, Dtype, ModelSpec, Projection};
use streambp::step::{Batch, Objective, Program, Strategy};

use crate::same_bits::assert_same_bits;
use crate::support::model::{self, DeviceStep};
use crate::support::ranks::{even_borders, on_ranks};
use crate::support::{device, level};

/// The step on several ranks: loss and gradients of the first.
fn on(borders: &[u32], objective: Objective, spec: &ModelSpec, batch: &Batch, strategy: Strategy) -> DeviceStep {
    let weights = model::weights(spec, 1);
    let mut steps = on_ranks(borders, |split, mailbox| {
        let shape = batch.shape.clone().on_ranks(split.clone());
        let program = Program::gradients_for(objective, spec, shape, strategy);
        let mut executor = model::device_executor(&program, device::own_tuning(), &weights, batch);
        assert_eq!(executor.created_bytes(), executor.plan().peak_bytes(), "bytes of rank {}", split.rank());
        executor.connect(Box::new(mailbox));
        model::device_step(&mut executor)
    });
    steps.swap_remove(0)
}

/// Compares one device with 2, 3 and 5 ranks.
fn check(number: usize, spec: impl Into<ModelSpec>, batch: &Batch, strategies: &[Strategy]) {
    let spec = spec.into();
    let program = Program::gradients(&spec, batch.shape.clone(), Strategy::stream(64, 64));
    let alone = model::device_step(&mut model::device_executor(&program, device::own_tuning(), &model::weights(&spec, 1), batch));
    let cases = [2, 3, 5].into_iter().flat_map(|ranks| strategies.iter().map(move |&strategy| (ranks, strategy)));
    for (ranks, strategy) in level::share(cases, 3, number) {
        let step = on(&even_borders(batch.shape.tokens(), ranks), Objective::CrossEntropy, &spec, batch, strategy);
        assert_same_bits(&spec, &format!("{:?}, {ranks} ranks, {strategy:?}", spec.config.model_type), &step, &alone);
    }
}

fn stream() -> Strategy {
    Strategy::stream(64, 64)
}

#[test]
fn every_family() {
    for (number, config) in model::families().into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[130, 1, 369], 7), &[stream()]);
    }
}

#[test]
fn a_tied_head() {
    let config = Config { tie_word_embeddings: true, ..model::odd_config() };
    check(0, &config, &model::batch(&config, &[500], 2), &[stream()]);
}

#[test]
fn windows() {
    for (number, config) in model::windows().into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[130, 1, 369], 7), &[stream()]);
    }
}

#[test]
fn adapters_on_frozen_weights() {
    let spec = model::lora(&model::odd_config(), &Projection::ALL, Dtype::Bf16);
    check(1, spec, &model::batch(&model::odd_config(), &[130, 1, 369], 8), &[stream()]);
}
