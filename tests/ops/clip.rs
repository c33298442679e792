use streambp::model::Axis;
use streambp::step::TensorId;
use streambp::step::ops::Clip;
use streambp::step::update::{AdamWParams, metrics};

use crate::support::model;
use crate::support::op_harness::{OpHarness, Shape, Tolerance, Width};

/// The operation on the partial sums of that many parameters, and its output tensors.
pub fn harness(parameters: u32, max_grad_norm: f32) -> (OpHarness, TensorId, TensorId) {
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[1]));
    let bindings = b.program().bindings.clone();
    let partials = b.matrix("partials", Axis::heads(parameters, 4), Width::Exact(256));
    b.values(partials).iter_mut().for_each(|sum| *sum = sum.abs());
    let settings = AdamWParams { max_grad_norm, ..super::adamw::SETTINGS };
    b.adopt(bindings.adamw_params).copy_from_slice(bytemuck::cast_slice(&[settings]));
    b.adopt(bindings.metrics).copy_from_slice(&[0.5, f32::NAN, f32::NAN, f32::NAN]);
    b.op(Clip { partials, adamw_params: bindings.adamw_params, metrics: bindings.metrics });
    (b, bindings.metrics, partials)
}

#[test]
fn kernel_and_reference_agree() {
    for parameters in [1, 3, 40] {
        for max_grad_norm in [0.01, 1.0, 1e6] {
            let (b, metrics, _) = harness(parameters, max_grad_norm);
            b.check(&[(metrics, Tolerance::Norm(1e-6))]);
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_noticed() {
    for bad in [f32::NAN, f32::INFINITY] {
        let (mut b, id, partials) = harness(3, 1.0);
        b.values(partials)[1000] = bad;
        let values = b.on_device(id);
        assert_eq!((values[metrics::LOSS], values[metrics::SCALE], values[metrics::NOT_FINITE]), (0.5, 0.0, 1.0), "{bad}");
    }
}

#[test]
fn a_loss_that_is_not_finite_is_noticed() {
    let (mut b, id, _) = harness(3, 1.0);
    b.values(id)[metrics::LOSS] = f32::NAN;
    let values = b.on_device(id);
    assert_eq!((values[metrics::SCALE], values[metrics::NOT_FINITE]), (0.0, 1.0));
}
