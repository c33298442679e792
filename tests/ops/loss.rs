use streambp::step::ops::Loss;

use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};
use crate::support::{Random, model};

#[test]
fn kernel_and_reference_agree() {
    let lengths = op_harness::shapes().into_iter().map(|shape| shape.lengths).chain([vec![5000]]);
    for lengths in lengths {
        let mut random = Random::new(3);
        let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&lengths));
        let bindings = b.program().bindings.clone();
        b.adopt(bindings.log_probs).iter_mut().for_each(|value| *value = -random.real().abs());
        b.adopt(bindings.loss_weight).iter_mut().for_each(|value| *value = random.real().abs());
        // The metrics after earlier batches of the step.
        b.adopt(bindings.metrics).copy_from_slice(&[0.5, 1.0, 2.0, 3.0]);
        b.op(Loss { log_probs: bindings.log_probs, loss_weight: bindings.loss_weight, metrics: bindings.metrics });
        b.check(&[(bindings.metrics, Tolerance::Norm(1e-6))]);
    }
}
