//! Verification of exactness, as the page and the command line run it.

use std::cell::RefCell;

use pollster::block_on;
use streambp::model::ModelSpec;
use streambp::step::{Plan, Program, Strategy};
use streambp::train::{errors_in_f64, verify};

use crate::support::{device, model};

#[test]
fn verification_reports_its_progress_and_errors() {
    let config = model::odd_config();
    let (weights, batch) = (model::weights(&config, 1), model::batch(&config, &[70, 33], 2));
    let spec = ModelSpec::from(&config);
    let plans = [Strategy::STANDARD, Strategy::stream(64, 64)].map(|strategy| {
        let program = Program::gradients(&config, batch.shape.clone(), strategy);
        Plan::new(program, device::gpu().limits()).unwrap()
    });
    let calls = RefCell::new(Vec::new());
    let (mut report, gradients) = block_on(async {
        let progress = |done, all| {
            calls.borrow_mut().push((done, all));
            Ok(())
        };
        verify(&device::gpu(), plans.to_vec(), &weights, &batch, progress).await.unwrap()
    });
    assert!(report.same_bits && report.runs.len() == 2);
    assert!(report.parameters.iter().all(|parameter| parameter.error.is_none()), "the f64 reference has not run yet");
    assert_eq!(calls.into_inner(), [(0, 2), (1, 2), (2, 2)]);
    report.set_errors(&errors_in_f64(&spec, &weights, &batch, &gradients));
    assert!(report.parameters.iter().all(|parameter| parameter.error.is_some_and(|error| error < 1e-5)));
    let mut wrong = gradients;
    wrong[0][0] += 1.0;
    report.set_errors(&errors_in_f64(&spec, &weights, &batch, &wrong));
    assert!(report.parameters[0].error.unwrap() > 1e-2, "a wrong gradient should have a large error");
}
