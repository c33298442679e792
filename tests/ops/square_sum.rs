use streambp::model::Axis;
use streambp::step::ops::SquareSum;

use crate::support::model;
use crate::support::op_harness::{OpHarness, Shape, Tolerance, Width};

#[test]
fn kernel_and_reference_agree() {
    for (rows, cols) in [(1, 1), (5, 130), (37, 18), (257, 257)] {
        let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[1]));
        let x = b.matrix("x", Axis::flat(rows), Axis::flat(cols));
        let terms = b.program().tensor(x).elements().div_ceil(256) as u32;
        // The partial sums of other parameters are unchanged.
        let partials = b.matrix("partials", Axis::flat(4), Width::Exact(256));
        b.op(SquareSum { x, partials, slot: 2 });
        b.check(&[(partials, Tolerance::Terms(terms))]);
    }
}
