use streambp::model::Axis;
use streambp::step::ops::CopyRows;

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Tolerance};

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for size in [1, 5, 130] {
            let mut b = OpHarness::new(&model::odd_config(), &shape);
            let x = b.input("x", Axis::flat(size));
            let out = b.output("out", Axis::flat(size));
            b.op(CopyRows { x, out });
            b.check(&[(out, Tolerance::Exact)]);
        }
    }
}
