//! Whole programs in f64: the gradient against differences of the loss, and the strategies against one another.

use streambp::model::{Config, Parameters};
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, Pass, Program, Strategy};

use crate::support::{Random, compare, model};

/// Sequences whose borders lie inside tiles, and a ragged end.
const LENGTHS: [u32; 4] = [50, 1, 88, 62];

fn strategies() -> Vec<Strategy> {
    let streams = [(64, 64), (64, 128), (128, 64), (192, 64), (1000, 1000)].map(|(chunk, logits)| Strategy::stream(chunk, logits));
    [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams).collect()
}

#[test]
fn all_strategies_and_chunk_lengths_agree() {
    for tied in [false, true] {
        let config = Config { tie_word_embeddings: tied, ..model::odd_config() };
        let (weights, batch) = (model::weights(&config, 1), model::batch(&config, &LENGTHS, 2));
        let (loss, gradients) = model::reference_step(&config, &weights, &batch, Strategy::STANDARD);
        for strategy in strategies() {
            let (other_loss, others) = model::reference_step(&config, &weights, &batch, strategy);
            compare::norm("loss", &[other_loss], &[loss], 1e-14).unwrap();
            for (id, parameter) in Parameters::new(&config).iter() {
                let what = format!("{strategy:?} {}", parameter.name);
                compare::norm(&what, &others[id.0], &gradients[id.0], 1e-13).unwrap();
            }
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    for tied in [false, true] {
        let config = Config { tie_word_embeddings: tied, ..model::odd_config() };
        let batch = model::batch(&config, &LENGTHS, 3);
        check_slopes(&config, &batch, Strategy::stream(64, 128));
    }
}

/// For every parameter, some elements: what the loss does when one is moved a little against what the gradient says.
fn check_slopes(config: &Config, batch: &Batch, strategy: Strategy) {
    const STEP: f64 = 1e-4;
    let program = Program::gradients(config, batch.shape.clone(), strategy);
    let weights = model::weights(config, 4);
    let mut executor = model::reference_executor(&program, &weights, batch);
    let mut loss_at = |tensor, values: &[f64]| {
        executor.write_f64(tensor, values);
        executor.run(Pass::Clear..=Pass::Loss);
        executor.read(program.bindings.metrics)[LOSS]
    };
    let (_, gradients) = model::reference_step(config, &weights, batch, strategy);
    let mut random = Random::new(5);
    for (id, parameter) in program.parameters.iter() {
        let values = weights.get(id);
        let tensor = program.weight(id);
        let moved = |at: usize, by: f64| {
            // A number for each element says where it lies in the device's layout.
            let numbers: Vec<f32> = (1..=values.len()).map(|number| number as f32).collect();
            let place = parameter.pad(&numbers).iter().position(|&number| number == (at + 1) as f32).unwrap();
            let mut padded: Vec<f64> = parameter.pad(values).into_iter().map(f64::from).collect();
            padded[place] += by;
            padded
        };
        let places: Vec<usize> = (0..4).map(|_| random.below(values.len() as u32) as usize).collect();
        let slope = |&at: &usize| (loss_at(tensor, &moved(at, STEP)) - loss_at(tensor, &moved(at, -STEP))) / (2.0 * STEP);
        let slopes: Vec<f64> = places.iter().map(slope).collect();
        loss_at(tensor, &moved(0, 0.0));
        let gradient: Vec<f64> = places.iter().map(|&at| gradients[id.0][at]).collect();
        compare::norm(&parameter.name, &gradient, &slopes, 1e-6).unwrap();
    }
}
