use streambp::model::Axis;
use streambp::step::ops::Zero;

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::few_shapes() {
        let mut b = OpHarness::new(&model::odd_config(), &shape);
        let out = b.output("out", Axis::flat(5));
        b.op(Zero { out, all: false });
        b.check(&[(out, Tolerance::Exact)]);
    }
    for (rows, cols) in [(1, 1), (5, 130), (257, 1030)] {
        let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[1]));
        let out = b.matrix("out", Axis::flat(rows), Axis::flat(cols));
        b.values(out).fill(f32::NAN);
        b.op(Zero { out, all: false });
        b.check(&[(out, Tolerance::Exact)]);
    }
}
