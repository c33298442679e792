use streambp::model::Axis;
use streambp::step::ops::{Linear, LinearWeightGrad};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

#[test]
fn kernel_and_reference_agree() {
    for (shape, rows, cols) in op_harness::matrix_shapes() {
        check(&shape, rows, cols);
    }
}

fn check(shape: &Shape, rows: Axis, cols: Axis) {
    let mut b = OpHarness::new(&model::odd_config(), shape);
    let d_out = b.input("d_out", rows);
    let x = b.input("x", cols);
    let d_weight = b.matrix("d_weight", rows, cols);
    b.op(LinearWeightGrad { d_out, x, d_weight, slice: op_harness::whole(rows) });
    let terms = b.tokens() + 1;
    b.check(&[(d_weight, Tolerance::Terms(terms))]);
}

#[test]
fn reference_is_the_slope() {
    let (rows, cols) = (Axis::heads(2, 6), Axis::flat(9));
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[7]));
    let x = b.input("x", cols);
    let weight = b.matrix("weight", rows, cols);
    let out = b.output("out", rows);
    let d_out = b.input("d_out", rows);
    let d_weight = b.zeros("d_weight", rows, cols);
    let weights = b.values(d_out).to_vec();
    b.op(Linear { x, weight, out, bias: None, residual: None, slice: op_harness::whole(rows), scale: 1.0, accumulate: false });
    b.op(LinearWeightGrad { d_out, x, d_weight, slice: op_harness::whole(rows) });
    b.gradcheck(out, &weights, &[(weight, d_weight)]);
}
