use streambp::model::Axis;
use streambp::step::ops::BiasGrad;

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Tolerance};

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for cols in [Axis::flat(1), Axis::flat(130), Axis::heads(3, 6)] {
            let mut b = OpHarness::new(&model::odd_config(), &shape);
            let d_out = b.input("d_out", cols);
            let d_bias = b.row("d_bias", cols);
            b.op(BiasGrad { d_out, d_bias });
            let terms = b.tokens() + 1;
            b.check(&[(d_bias, Tolerance::Terms(terms))]);
        }
    }
}
