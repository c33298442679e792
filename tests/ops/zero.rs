use streambp::model::Axis;
use streambp::step::Op;

use crate::support::bench::{self, Bench, Shape, Tolerance};
use crate::support::model;

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::few_shapes() {
        let mut b = Bench::new(&model::odd_config(), &shape);
        let out = b.output("out", Axis::flat(5));
        b.op(Op::Zero { out });
        b.check(&[(out, Tolerance::Exact)]);
    }
    for (rows, cols) in [(1, 1), (5, 130), (257, 1030)] {
        let mut b = Bench::new(&model::odd_config(), &Shape::whole(&[1]));
        let out = b.matrix("out", Axis::flat(rows), Axis::flat(cols));
        b.values(out).fill(f32::NAN);
        b.op(Op::Zero { out });
        b.check(&[(out, Tolerance::Exact)]);
    }
}
