use streambp::model::Axis;
use streambp::step::ops::SquareSum;

use crate::support::model;
use crate::support::op_harness::{OpHarness, Shape, Tolerance, Width};

#[test]
fn kernel_and_reference_agree() {
    for (rows, cols, slots) in [(1, 1, 1), (5, 130, 1), (37, 18, 2), (257, 257, 1), (257, 257, 2)] {
        let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[1]));
        let x = b.matrix("x", Axis::flat(rows), Axis::flat(cols));
        let terms = b.program().tensor(x).elements().div_ceil(u64::from(256 * slots)) as u32;
        // The partial sums of other parameters are unchanged.
        let partials = b.matrix("partials", Axis::flat(4), Width::Exact(256));
        b.op(SquareSum { x, partials, slot: 1, slots });
        b.check(&[(partials, Tolerance::Terms(terms))]);
    }
}
