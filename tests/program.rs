//! Whole programs in f64: the gradient against finite differences of the loss, and the strategies against each other.

use streambp::model::{Config, Dtype, ModelSpec, Parameters, Projection};
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, ParameterSlice, Pass, Program, Strategy};

use crate::support::{Random, compare, level, model};

/// Sequences whose boundaries lie inside tiles, and a ragged end.
const LENGTHS: [u32; 4] = [50, 1, 88, 62];

/// Tied and separate LM heads, every family, and adapters.
fn specs() -> Vec<ModelSpec> {
    let tied = Config { tie_word_embeddings: true, ..model::odd_config() };
    let adapted = [model::odd_config(), model::families().pop().unwrap()].map(|c| model::lora(&c, &Projection::ALL, Dtype::F32));
    let full = [model::odd_config(), tied].into_iter().chain(model::families());
    full.map(|config| ModelSpec::from(&config)).chain(adapted).collect()
}

fn strategies() -> Vec<Strategy> {
    let streams = [(64, 64), (64, 128), (128, 64), (192, 64), (1000, 1000)].map(|(chunk, logits)| Strategy::stream(chunk, logits));
    [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams).chain(model::selective_strategies()).collect()
}

#[test]
fn all_strategies_and_chunk_lengths_agree() {
    let windows = model::windows().into_iter().map(|config| ModelSpec::from(&config));
    for (number, spec) in specs().into_iter().chain(windows).enumerate() {
        let config = &spec.config;
        let (weights, batch) = (model::weights(&spec, 1), model::batch(config, &LENGTHS, 2));
        let (loss, gradients) = model::reference_step(&spec, &weights, &batch, Strategy::STANDARD);
        for strategy in level::share(strategies(), 6, number) {
            let (other_loss, others) = model::reference_step(&spec, &weights, &batch, strategy);
            compare::norm("loss", &[other_loss], &[loss], 1e-13).unwrap();
            for (i, (_, parameter)) in Parameters::new(&spec).trainable().enumerate() {
                let what = format!("{:?} {strategy:?} {}", config.model_type, parameter.name);
                compare::norm(&what, &others[i], &gradients[i], 1e-12).unwrap();
            }
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    for spec in specs() {
        // Two chunks, the second one ragged. Each direction costs a few forward passes.
        let batch = model::batch(&spec.config, &[40, 1, 38], 3);
        gradcheck(&spec, &batch, Strategy::stream(64, 128));
    }
}

/// For every parameter, moves all of its elements a little uphill and compares the change of the loss with the gradient.
fn gradcheck(spec: &ModelSpec, batch: &Batch, strategy: Strategy) {
    // The norm of the displacement. With adapters the loss is not linear within 10⁻⁴.
    const STEP: f64 = 2e-5;
    let program = Program::gradients(spec, batch.shape.clone(), strategy);
    let weights = model::weights(spec, 4);
    let mut executor = model::reference_executor(&program, &weights, batch);
    let mut loss_at = |tensor, values: &[f64]| {
        executor.write_f64(tensor, values);
        executor.run(Pass::Clear..=Pass::Loss);
        executor.read(program.bindings.metrics)[LOSS]
    };
    let (_, gradients) = model::reference_step(spec, &weights, batch, strategy);
    let mut random = Random::new(5);
    for (i, (id, parameter)) in program.parameters.trainable().enumerate() {
        let [ParameterSlice { value: tensor, .. }] = *program.slices(id) else { panic!("{} has several slices", parameter.name) };
        let values: Vec<f64> = parameter.pad(weights.get(&parameter.name)).into_iter().map(f64::from).collect();
        let gradient = &gradients[i];
        // Uphill in every element, so that contributions do not cancel and rounding does not dominate; by different lengths, so that errors
        // do not cancel either.
        let direction: Vec<f32> = gradient.iter().map(|slope| slope.signum() as f32 * (1.0 + random.real() / 4.0)).collect();
        let padded: Vec<f64> = parameter.pad(&direction).into_iter().map(f64::from).collect();
        let scale = STEP / (direction.len() as f64).sqrt();
        let mut at = |steps: f64| {
            let displaced: Vec<f64> = values.iter().zip(&padded).map(|(value, along)| value + steps * scale * along).collect();
            loss_at(tensor, &displaced)
        };
        // A fourth-order central difference, since large embeddings also make the loss nonlinear.
        let difference = 8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0));
        loss_at(tensor, &values);
        let slope: f64 = gradient.iter().zip(&direction).map(|(slope, &along)| slope * f64::from(along)).sum();
        compare::norm(&parameter.name, &[slope], &[difference / (12.0 * scale)], 1e-6).unwrap();
    }
}
