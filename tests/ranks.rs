//! Loss and gradients of a batch whose tokens lie on several ranks: the same bits as on one device.

use streambp::model::{ActivationDtype, Config, Dtype, ModelSpec, Projection};
use streambp::step::{Batch, DpoSettings, Objective, Program, Split, Strategy};
use streambp::train::{Dataset, Network, Settings, Snapshot};

use crate::same_bits::assert_same_bits;
use crate::support::model::{self, DeviceStep};
use crate::support::ranks::{IMMEDIATE, Mailbox, even_borders, on_ranks};
use crate::support::{device, level};

/// The step on several ranks: loss and gradients of the first.
fn on(borders: &[u32], objective: Objective, spec: &ModelSpec, batch: &Batch, strategy: Strategy) -> DeviceStep {
    on_network(IMMEDIATE, borders, objective, spec, batch, strategy)
}

fn on_network(network: Network, borders: &[u32], objective: Objective, spec: &ModelSpec, batch: &Batch, strategy: Strategy) -> DeviceStep {
    let weights = model::weights(spec, 1);
    let mut steps = on_ranks(borders, network, |split, mailbox| {
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
fn check(number: usize, spec: impl Into<ModelSpec>, batch: &Batch) {
    let spec = spec.into();
    let alone = alone(Objective::CrossEntropy, &spec, batch);
    for ranks in level::share([2, 3, 5], 3, number) {
        let step = on(&even_borders(batch.shape.tokens(), ranks), Objective::CrossEntropy, &spec, batch, Strategy::stream(64, 64));
        assert_same_bits(&spec, &format!("{:?}, {ranks} ranks", spec.config.model_type), &step, &alone);
    }
}

fn alone(objective: Objective, spec: &ModelSpec, batch: &Batch) -> DeviceStep {
    let program = Program::gradients_for(objective, spec, batch.shape.clone(), Strategy::stream(64, 64));
    model::device_step(&mut model::device_executor(&program, device::own_tuning(), &model::weights(spec, 1), batch))
}

#[test]
fn every_family() {
    for (number, config) in model::families().into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[130, 1, 369], 7));
    }
}

#[test]
fn a_tied_head() {
    let config = Config { tie_word_embeddings: true, ..model::odd_config() };
    check(0, &config, &model::batch(&config, &[500], 2));
}

#[test]
fn windows() {
    for (number, config) in model::windows().into_iter().enumerate() {
        check(number, &config, &model::batch(&config, &[130, 1, 369], 7));
    }
}

#[test]
fn adapters_on_frozen_weights() {
    let spec = model::lora(&model::odd_config(), &Projection::ALL, Dtype::Bf16);
    check(1, spec, &model::batch(&model::odd_config(), &[130, 1, 369], 8));
}

/// Whatever a strategy keeps, recomputes, or brings to the host; with ranks that hold a tile, and a chunk that is longer than a share.
#[test]
fn every_strategy() {
    let config = Config { num_hidden_layers: 4, ..model::odd_config() };
    let (spec, batch) = (ModelSpec::from(&config), model::batch(&config, &[130, 1, 369], 3));
    let alone = alone(Objective::CrossEntropy, &spec, &batch);
    let plain = [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(448, 192)].into_iter();
    let strategies = plain.chain(model::selective_strategies()).chain(model::grouped_strategies());
    for (number, strategy) in level::share(strategies, 4, 0).into_iter().enumerate() {
        let borders: &[u32] = [&[0, 64, 500][..], &[0, 192, 256, 500]][number % 2];
        let step = on(borders, Objective::CrossEntropy, &spec, &batch, strategy);
        assert_same_bits(&spec, &format!("{borders:?}, {strategy:?}"), &step, &alone);
    }
}

#[test]
fn activations_in_bf16() {
    let config = model::odd_config();
    check(1, ModelSpec::from(&config).with_activation_dtype(ActivationDtype::Bf16), &model::batch(&config, &[130, 1, 369], 4));
}

#[test]
fn pairs_of_sequences() {
    let config = model::odd_config();
    let (spec, batch) = (ModelSpec::from(&config), model::batch(&config, &[130, 70, 100, 200], 5));
    let tokens = batch.shape.tokens();
    let batch = batch.in_pairs(2, vec![-3.0; tokens as usize]);
    let objective = Objective::Dpo(DpoSettings::default());
    let step = on(&even_borders(tokens, 3), objective, &spec, &batch, Strategy::stream(64, 64));
    assert_same_bits(&spec, "pairs on 3 ranks", &step, &alone(objective, &spec, &batch));
}

/// Messages that arrive late, and after others that were sent later.
#[test]
fn a_slow_network() {
    let config = model::odd_config();
    let (spec, batch) = (ModelSpec::from(&config), model::batch(&config, &[130, 1, 369], 6));
    let slow = Network { latency: 10e-3, bandwidth: 12.5e6 };
    let borders = even_borders(batch.shape.tokens(), 3);
    let step = on_network(slow, &borders, Objective::CrossEntropy, &spec, &batch, Strategy::stream(64, 64));
    assert_same_bits(&spec, "a slow network", &step, &alone(Objective::CrossEntropy, &spec, &batch));
}

/// Steps of several batches, clipping, AdamW on the ranks that hold the moments, validations, and a resumption on another number of ranks.
#[test]
fn training_resumes_on_another_number_of_ranks() {
    for tied in [false, true] {
        let config = Config { vocab_size: 256, num_hidden_layers: 4, tie_word_embeddings: tied, ..model::odd_config() };
        let settings =
            Settings { seq_len: 200, batch: 2, accumulate: 3, steps: 20, strategy: Strategy::stream(64, 64), ..Settings::default() };
        let expected = trained(&config, &settings, 1, None, 20);
        let half = trained(&config, &settings, 3, None, 10);
        assert!(trained(&config, &settings, 2, Some(&half), 10) == expected, "tied: {tied}");
    }
}

/// Trains some steps, perhaps from a snapshot on. Returns the snapshot of the first rank.
fn trained(config: &Config, settings: &Settings, ranks: u32, from: Option<&Snapshot>, steps: u64) -> Snapshot {
    let weights = model::weights(config, 4);
    let shape = settings.batch_shape(&Dataset::own(settings.seq_len).unwrap());
    let borders = even_borders(shape.tokens(), ranks);
    let run = |split: Split, mailbox: Mailbox| {
        pollster::block_on(async {
            let (rank, dataset) = (split.rank(), Dataset::own(settings.seq_len).unwrap());
            let shape = shape.clone().on_ranks(split.accumulating(settings.accumulate));
            let (gpu, spec) = (device::gpu(), ModelSpec::from(config));
            let mut trainer = model::trainer_of(&gpu, &spec, settings.clone(), dataset, shape, &weights).await.unwrap();
            trainer.connect(Box::new(mailbox));
            if let Some(snapshot) = from {
                trainer.restore(snapshot).await.unwrap();
            }
            for step in 1..=steps {
                let report = trainer.step().await.unwrap();
                assert!(report.grad_norm > 0.0 && report.loss > 0.0);
                if step % 4 == 0 {
                    trainer.validate().await.unwrap();
                }
            }
            if rank == 0 { Some(trainer.snapshot().await.unwrap()) } else { trainer.hand_over_moments().await.map(|()| None).unwrap() }
        })
    };
    on_ranks(&borders, IMMEDIATE, run).swap_remove(0).expect("the first rank has it")
}
