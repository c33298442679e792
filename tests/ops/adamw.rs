use streambp::model::Axis;
use streambp::step::TensorId;
use streambp::step::ops::AdamW;
use streambp::step::update::{AdamWParams, metrics};

use crate::support::model;
use crate::support::op_harness::{OpHarness, Shape, Tolerance};

/// Step 10 with typical hyperparameters.
pub const SETTINGS: AdamWParams = AdamWParams {
    learning_rate: 0.01,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    weight_decay: 0.1,
    max_grad_norm: 1.0,
    bias_correction1: 0.651_321_56,
    bias_correction2: 0.401_263_06,
};

/// The operation, and the tensors of the weights and of both moments.
fn harness(rows: u32, cols: u32, decay: bool, metrics: [f32; 4]) -> (OpHarness, [TensorId; 3]) {
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[1]));
    let bindings = b.program().bindings.clone();
    b.adopt(bindings.adamw_params).copy_from_slice(bytemuck::cast_slice(&[SETTINGS]));
    b.adopt(bindings.metrics).copy_from_slice(&metrics);
    let [gradient, weight, moment1, moment2] =
        ["gradient", "weight", "moment1", "moment2"].map(|name| b.matrix(name, Axis::flat(rows), Axis::flat(cols)));
    b.values(moment2).iter_mut().for_each(|square| *square = square.abs());
    b.op(AdamW { gradient, adamw_params: bindings.adamw_params, metrics: bindings.metrics, weight, moment1, moment2, decay });
    (b, [weight, moment1, moment2])
}

#[test]
fn kernel_and_reference_agree() {
    for (rows, cols) in [(1, 1), (5, 130), (37, 18), (257, 257)] {
        for decay in [false, true] {
            let (b, [weight, moment1, moment2]) = harness(rows, cols, decay, [2.0, 4.0, 0.25, 0.0]);
            let tolerance = Tolerance::Norm(5e-7);
            b.check(&[(weight, tolerance), (moment1, tolerance), (moment2, tolerance)]);
        }
    }
}

#[test]
fn nothing_moves_if_the_gradient_is_not_finite() {
    let mut values = [2.0, f32::NAN, 0.0, 0.0];
    values[metrics::NOT_FINITE] = 1.0;
    for which in 0..3 {
        let (mut b, ids) = harness(5, 130, true, values);
        let before = b.values(ids[which]).to_vec();
        assert_eq!(b.on_device(ids[which]), before);
    }
}
