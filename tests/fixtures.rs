//! Whole models against the gradients that PyTorch computes in float64.

use streambp::model::Parameters;
use streambp::step::Strategy;

use crate::support::fixture::{Fixture, NAMES};
use crate::support::{compare, model};

/// Both are float64, so what is left is rounding.
#[test]
fn the_reference_computes_what_pytorch_computes() {
    for name in NAMES {
        let fixture = Fixture::read(name);
        let (loss, gradients) = model::reference_step(&fixture.config, &fixture.weights, &fixture.batch, Strategy::stream(64, 64));
        compare::norm(&format!("{name} loss"), &[loss], &[fixture.loss], 1e-12).unwrap();
        for (id, parameter) in Parameters::new(&fixture.config).iter() {
            let what = format!("{name} {}", parameter.name);
            compare::norm(&what, &gradients[id.0], fixture.gradient(id), 1e-11).unwrap();
        }
    }
}
