//! Predicted times against measured ones, from the launch data of the kernels that were measured.

use serde::Deserialize;
use streambp::gpu::{DeviceClass, Launch};
use streambp::step::OpKind;

/// Steps that were measured on a device.
#[derive(Deserialize)]
struct Measured {
    device: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    measured_millis: f64,
    /// Kind, how often, FLOPs, bytes, and FLOPs of the longest workgroup.
    launches: Vec<(String, f64, f64, f64, f64)>,
}

#[test]
fn measured_steps_are_predicted() {
    let measured: Measured = serde_json::from_str(include_str!("launches/h100.json")).unwrap();
    let speed = measured.device.parse::<DeviceClass>().unwrap().speed();
    let mut squares = 0.0;
    for Step { step, measured_millis, launches } in &measured.steps {
        let seconds = |(stem, count, flops, bytes, longest): &(String, f64, f64, f64, f64)| {
            let kind = *OpKind::ALL.iter().find(|kind| kind.stem() == stem).unwrap();
            count * speed.seconds(&Launch { kind, flops: *flops, bytes: *bytes, longest: *longest })
        };
        let predicted = launches.iter().map(seconds).sum::<f64>() * 1e3;
        let error = predicted / measured_millis - 1.0;
        eprintln!("{step}: {predicted:.0} ms predicted, {measured_millis} measured, {:+.1}%", error * 100.0);
        assert!(error.abs() < 0.1, "{step}");
        squares += error * error;
    }
    eprintln!("root mean square {:.1}%", (squares / measured.steps.len() as f64).sqrt() * 100.0);
}
