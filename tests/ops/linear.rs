use streambp::model::Axis;
use streambp::step::Op;

use crate::support::bench::{self, Bench, Shape, Tolerance};
use crate::support::model;

#[test]
fn kernel_and_reference_agree() {
    for (shape, rows, cols) in bench::matrix_shapes() {
        check(&shape, rows, cols);
    }
}

fn check(shape: &Shape, rows: Axis, cols: Axis) {
    for has_residual in [false, true] {
        let mut b = Bench::new(&model::odd_config(), shape);
        let x = b.input("x", cols);
        let weight = b.matrix("weight", rows, cols);
        let residual = has_residual.then(|| b.input("residual", rows));
        let out = b.output("out", rows);
        b.op(Op::Linear { x, weight, out, residual });
        b.check(&[(out, Tolerance::Terms(cols.size() + 1))]);
    }
}
