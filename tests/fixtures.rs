//! Whole models against gradients of PyTorch in float64.

use streambp::model::Parameters;
use streambp::step::{Program, Strategy};

use crate::support::fixture::{Fixture, names};
use crate::support::model::DeviceStep;
use crate::support::{compare, device, level, model};

/// Both are float64, so they differ only by rounding.
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

/// The device computes in f32; PyTorch in f32 comes within 3e-6. One pass over the fixtures compares every class of kernels with PyTorch,
/// and every strategy with the bits of the first.
#[test]
fn the_device_computes_what_pytorch_computes_with_the_same_bits_in_every_strategy() {
    let others = [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(128, 64), Strategy::stream(192, 128)];
    let others = others.into_iter().chain([Strategy::stream(64, 64).with_logits_bytes(1)]);
    for (number, name) in names().into_iter().enumerate() {
        let fixture = Fixture::read(&name);
        let step = |strategy, tuning| {
            let program = Program::gradients(&fixture.config, fixture.batch.shape.clone(), strategy);
            model::device_step(&mut model::device_executor(&program, tuning, &fixture.weights, &fixture.batch))
        };
        let [own, classes @ ..] = &device::tunings()[..] else { panic!("the device has a tuning") };
        let first = step(Strategy::stream(64, 64), *own);
        compare_with_pytorch(&name, &fixture, &first);
        for tuning in level::share(classes, 2, number) {
            compare_with_pytorch(&format!("{name}, {tuning:?}"), &fixture, &step(Strategy::stream(64, 64), *tuning));
        }
        for strategy in level::share(others.clone(), 5, number) {
            assert!(step(strategy, *own).bits() == first.bits(), "{name}, {strategy:?}");
        }
    }
}

fn compare_with_pytorch(what: &str, fixture: &Fixture, step: &DeviceStep) {
    compare::norm(&format!("{what} loss"), &[f64::from(step.loss)], &[fixture.loss], 1e-6).unwrap();
    for (id, parameter) in Parameters::new(&fixture.config).iter() {
        let gradient: Vec<f64> = step.gradients[id.0].iter().map(|&value| f64::from(value)).collect();
        compare::norm(&format!("{what} {}", parameter.name), &gradient, fixture.gradient(id), 1e-5).unwrap();
    }
}
