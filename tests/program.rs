//! Whole programs in f64: the gradient against differences of the loss, and the strategies against one another.

use streambp::model::{Config, Layout, Parameters, Precision, Projection};
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, Part, Pass, Program, Strategy};

use crate::support::{Random, compare, model};

/// Sequences whose borders lie inside tiles, and a ragged end.
const LENGTHS: [u32; 4] = [50, 1, 88, 62];

/// Both heads, every family, and adapters.
fn layouts() -> Vec<Layout> {
    let tied = Config { tie_word_embeddings: true, ..model::odd_config() };
    let adapted = [model::odd_config(), model::families().pop().unwrap()].map(|c| model::lora(&c, &Projection::ALL, Precision::F32));
    let full = [model::odd_config(), tied].into_iter().chain(model::families());
    full.map(|config| Layout::from(&config)).chain(adapted).collect()
}

fn strategies() -> Vec<Strategy> {
    let streams = [(64, 64), (64, 128), (128, 64), (192, 64), (1000, 1000)].map(|(chunk, logits)| Strategy::stream(chunk, logits));
    [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams).chain(model::between()).collect()
}

#[test]
fn all_strategies_and_chunk_lengths_agree() {
    let windows = model::windows().into_iter().map(|config| Layout::from(&config));
    for layout in layouts().into_iter().chain(windows) {
        let config = &layout.config;
        let (weights, batch) = (model::weights(&layout, 1), model::batch(config, &LENGTHS, 2));
        let (loss, gradients) = model::reference_step(&layout, &weights, &batch, Strategy::STANDARD);
        for strategy in strategies() {
            let (other_loss, others) = model::reference_step(&layout, &weights, &batch, strategy);
            compare::norm("loss", &[other_loss], &[loss], 1e-13).unwrap();
            for (i, (_, parameter)) in Parameters::new(&layout).trained().enumerate() {
                let what = format!("{:?} {strategy:?} {}", config.model_type, parameter.name);
                compare::norm(&what, &others[i], &gradients[i], 1e-12).unwrap();
            }
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    for layout in layouts() {
        let batch = model::batch(&layout.config, &LENGTHS, 3);
        check_slopes(&layout, &batch, Strategy::stream(64, 128));
    }
}

/// For every parameter, some elements: what the loss does when one is moved a little against what the gradient says.
fn check_slopes(layout: &Layout, batch: &Batch, strategy: Strategy) {
    const STEP: f64 = 2e-4;
    let program = Program::gradients(layout, batch.shape.clone(), strategy);
    let weights = model::weights(layout, 4);
    let mut executor = model::reference_executor(&program, &weights, batch);
    let mut loss_at = |tensor, values: &[f64]| {
        executor.write_f64(tensor, values);
        executor.run(Pass::Clear..=Pass::Loss);
        executor.read(program.bindings.metrics)[LOSS]
    };
    let (_, gradients) = model::reference_step(layout, &weights, batch, strategy);
    let mut random = Random::new(5);
    for (i, (id, parameter)) in program.parameters.trained().enumerate() {
        let values = weights.get(&parameter.name);
        let [Part { tensor, .. }] = *program.weight(id) else { panic!("{} is in one piece", parameter.name) };
        let moved = |at: usize, by: f64| {
            // A number for each element says where it lies in the device's layout.
            let numbers: Vec<f32> = (1..=values.len()).map(|number| number as f32).collect();
            let place = parameter.pad(&numbers).iter().position(|&number| number == (at + 1) as f32).unwrap();
            let mut padded: Vec<f64> = parameter.pad(values).into_iter().map(f64::from).collect();
            padded[place] += by;
            padded
        };
        let places: Vec<usize> = (0..4).map(|_| random.below(values.len() as u32) as usize).collect();
        let mut difference = |at: usize, by: f64| loss_at(tensor, &moved(at, by)) - loss_at(tensor, &moved(at, -by));
        // Of fourth order: large embeddings make a loss that curves.
        let slope = |&at: &usize| (8.0 * difference(at, STEP) - difference(at, 2.0 * STEP)) / (12.0 * STEP);
        let slopes: Vec<f64> = places.iter().map(slope).collect();
        loss_at(tensor, &moved(0, 0.0));
        let gradient: Vec<f64> = places.iter().map(|&at| gradients[i][at]).collect();
        compare::norm(&parameter.name, &gradient, &slopes, 1e-6).unwrap();
    }
}
