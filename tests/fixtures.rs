//! Whole models against the gradients that PyTorch computes in float64.

use streambp::model::Parameters;
use streambp::step::{Program, Strategy};

use crate::support::fixture::{Fixture, names};
use crate::support::{compare, device, model};

/// Both are float64, so what is left is rounding.
#[test]
fn the_reference_computes_what_pytorch_computes() {
    for name in names() {
        let fixture = Fixture::read(&name);
        let (loss, gradients) = model::reference_step(&fixture.config, &fixture.weights, &fixture.batch, Strategy::stream(64, 64));
        compare::norm(&format!("{name} loss"), &[loss], &[fixture.loss], 1e-12).unwrap();
        for (id, parameter) in Parameters::new(&fixture.config).iter() {
            let what = format!("{name} {}", parameter.name);
            compare::norm(&what, &gradients[id.0], fixture.gradient(id), 1e-11).unwrap();
        }
    }
}

/// The device computes in f32. PyTorch itself, in f32, comes within 3e-6.
#[test]
fn the_device_computes_what_pytorch_computes() {
    for name in names() {
        let fixture = Fixture::read(&name);
        let program = Program::gradients(&fixture.config, fixture.batch.shape.clone(), Strategy::stream(64, 64));
        for tuning in device::tunings() {
            let mut executor = model::device_executor(&program, tuning, &fixture.weights, &fixture.batch);
            let step = model::device_step(&mut executor);
            compare::norm(&format!("{name} loss"), &[f64::from(step.loss)], &[fixture.loss], 1e-6).unwrap();
            for (id, parameter) in program.parameters.iter() {
                let gradient: Vec<f64> = step.gradients[id.0].iter().map(|&value| f64::from(value)).collect();
                compare::norm(&format!("{name} {}", parameter.name), &gradient, fixture.gradient(id), 1e-5).unwrap();
            }
        }
    }
}

/// With the strategy above, these are all strategies and three lengths of chunks.
#[test]
fn every_strategy_gives_the_same_bits() {
    for name in names() {
        let fixture = Fixture::read(&name);
        let step = |strategy| {
            let program = Program::gradients(&fixture.config, fixture.batch.shape.clone(), strategy);
            let mut executor = model::device_executor(&program, device::own_tuning(), &fixture.weights, &fixture.batch);
            let step = model::device_step(&mut executor);
            step.gradients.iter().flatten().chain([&step.loss]).map(|value| value.to_bits()).collect::<Vec<u32>>()
        };
        let first = step(Strategy::stream(64, 64));
        let others = [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(128, 64), Strategy::stream(192, 128)];
        for strategy in others.into_iter().chain([Strategy::stream(64, 64).with_logits_bytes(1)]) {
            assert!(step(strategy) == first, "{name}, {strategy:?}");
        }
    }
}
