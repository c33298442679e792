//! Batches of sequences of different lengths, with different boundaries in each batch.

use streambp::model::PRESETS;
use streambp::step::{Batch, BatchShape, IGNORED_LABEL, Pass, Program, Strategy, update::metrics};

use crate::support::{compare, device, model};

const TOKENS: u32 = 300;
const LONGEST: u32 = 150;

/// Sequences of these lengths, whose labels from number `labels` on are ignored.
fn batch(lengths: &[u32], seed: u64, labels: usize) -> Batch {
    let mut batch = model::batch(&model::odd_config(), lengths, seed);
    let counted: Vec<usize> = (0..batch.labels.len()).filter(|&i| batch.labels[i] != IGNORED_LABEL).collect();
    counted[labels.min(counted.len())..].iter().for_each(|&i| batch.labels[i] = IGNORED_LABEL);
    let labels = batch.label_count();
    batch.averaged_over(labels)
}

/// Two batches of the same size with very different numbers of labels, and one batch with all of their sequences.
fn parts_and_whole() -> ([Batch; 2], Batch) {
    let parts = [batch(&[90, 1, 150, 59], 3, usize::MAX), batch(&[20, 130, 150], 4, 5)];
    let both = |of: fn(&Batch) -> &Vec<u32>| parts.iter().flat_map(of).copied().collect();
    let lengths = parts.iter().flat_map(|part| part.shape.lengths()).copied().collect();
    let whole = Batch {
        shape: BatchShape::packed(lengths),
        input_ids: both(|b| &b.input_ids),
        labels: both(|b| &b.labels),
        loss_weight: Vec::new(),
        pairs: 0,
        advantages: Vec::new(),
        old_log_probs: Vec::new(),
        ref_log_probs: Vec::new(),
    };
    let labels = whole.label_count();
    assert!(parts[0].label_count() > 30 * parts[1].label_count() && parts[1].label_count() == 5);
    (parts.map(|part| part.averaged_over(labels)), whole.averaged_over(labels))
}

#[test]
fn batches_with_other_boundaries_give_the_bits_of_their_own_program() {
    let config = model::odd_config();
    let weights = model::weights(&config, 1);
    for strategy in [Strategy::STANDARD, Strategy::stream(64, 128)] {
        let planned = Program::gradients(&config, BatchShape::uniform(TOKENS / LONGEST, LONGEST), strategy);
        let mut shared = device::executor(&planned, device::own_tuning());
        pollster::block_on(shared.load(&weights)).unwrap();
        for (seed, lengths) in [&[150, 150][..], &[90, 1, 150, 59], &[64, 64, 64, 64, 44], &[3; 100]].into_iter().enumerate() {
            let batch = batch(lengths, seed as u64, usize::MAX);
            shared.load_batch(&batch);
            let step = model::device_step(&mut shared);
            let own = Program::gradients(&config, batch.shape.clone(), strategy);
            let mut own = model::device_executor(&own, device::own_tuning(), &weights, &batch);
            assert!(step == model::device_step(&mut own) && step.loss > 0.0, "{lengths:?}");
        }
    }
}

#[test]
#[should_panic(expected = "sequences of [150, 150] tokens runs as many tokens, in sequences no longer, and not [151, 149]")]
fn a_sequence_longer_than_planned_is_refused() {
    let planned = Program::gradients(&PRESETS[0].config, BatchShape::uniform(2, LONGEST), Strategy::STANDARD);
    planned.inputs(&batch(&[151, 149], 1, usize::MAX));
}

#[test]
fn accumulation_weighs_every_label_the_same_in_f64() {
    let config = model::odd_config();
    let (weights, (parts, whole)) = (model::weights(&config, 1), parts_and_whole());
    let reference = |shape: &BatchShape| {
        let program = Program::gradients(&config, shape.clone(), Strategy::stream(64, 64));
        let mut executor = streambp::reference::Executor::new(&program);
        executor.load_weights(&weights);
        (program, executor)
    };
    let (program, mut at_once) = reference(&whole.shape);
    at_once.load_batch(&whole);
    at_once.run(Pass::GRADIENTS);
    let (_, mut in_parts) = reference(&BatchShape::uniform(TOKENS / LONGEST, LONGEST));
    in_parts.load_batch(&parts[0]);
    in_parts.run(Pass::GRADIENTS);
    in_parts.load_batch(&parts[1]);
    in_parts.run(Pass::Forward..=Pass::Backward);
    for (id, parameter) in program.parameters.trainable() {
        compare::norm(&parameter.name, &in_parts.gradient(id), &at_once.gradient(id), 1e-13).unwrap();
    }
    let loss = [&in_parts, &at_once].map(|executor| executor.read(program.bindings.metrics)[metrics::LOSS]);
    compare::norm("loss", &loss[..1], &loss[1..], 1e-13).unwrap();
}

#[test]
fn accumulation_weighs_every_label_the_same_on_the_device() {
    let config = model::odd_config();
    let (weights, (parts, whole)) = (model::weights(&config, 1), parts_and_whole());
    let program = Program::gradients(&config, whole.shape.clone(), Strategy::stream(64, 64));
    let at_once = model::device_step(&mut model::device_executor(&program, device::own_tuning(), &weights, &whole));
    let planned = Program::gradients(&config, BatchShape::uniform(TOKENS / LONGEST, LONGEST), Strategy::stream(64, 64));
    let mut in_parts = model::device_executor(&planned, device::own_tuning(), &weights, &parts[0]);
    let gradients = pollster::block_on(async {
        in_parts.run(Pass::GRADIENTS).await.unwrap();
        in_parts.load_batch(&parts[1]);
        in_parts.run(Pass::Forward..=Pass::Backward).await.unwrap();
        in_parts.gradients().await.unwrap()
    });
    let to_f64 = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    for ((_, parameter), (found, expected)) in program.parameters.trainable().zip(gradients.iter().zip(&at_once.gradients)) {
        compare::norm(&parameter.name, &to_f64(found), &to_f64(expected), 1e-6).unwrap();
    }
}
