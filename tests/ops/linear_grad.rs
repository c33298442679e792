use streambp::model::{Axis, Dtype};
use streambp::step::ops::{Linear, LinearGrad};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

#[test]
fn kernel_and_reference_agree() {
    for (shape, rows, cols) in op_harness::matrix_shapes() {
        check(&shape, rows, cols);
    }
}

fn check(shape: &Shape, rows: Axis, cols: Axis) {
    for accumulate in [false, true] {
        let mut b = OpHarness::new(&model::odd_config(), shape);
        let d_out = b.input("d_out", rows);
        let weight = b.matrix("weight", rows, cols);
        let d_x = if accumulate { b.input("d_x", cols) } else { b.output("d_x", cols) };
        b.op(LinearGrad { d_out, weight, d_x, slice: op_harness::whole(rows), scale: 1.0, accumulate });
        b.check(&[(d_x, Tolerance::Terms(rows.size() + 1))]);
    }
}

#[test]
fn reference_is_the_slope() {
    let (rows, cols) = (Axis::heads(2, 6), Axis::flat(9));
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[7]));
    let x = b.input("x", cols);
    let weight = b.matrix("weight", rows, cols);
    let out = b.output("out", rows);
    let d_out = b.input("d_out", rows);
    let d_x = b.output("d_x", cols);
    let weights = b.values(d_out).to_vec();
    b.op(Linear { x, weight, out, bias: None, residual: None, slice: op_harness::whole(rows), scale: 1.0, accumulate: false });
    b.op(LinearGrad { d_out, weight, d_x, slice: op_harness::whole(rows), scale: 1.0, accumulate: false });
    b.gradcheck(out, &weights, &[(x, d_x)]);
}

/// Matrices of other dtypes, and a scale.
#[test]
fn scale_and_storage() {
    let (rows, cols) = (Axis::flat(18), Axis::flat(70));
    for shape in op_harness::few_shapes() {
        for dtype in [Dtype::F16, Dtype::Bf16, Dtype::Int8] {
            let mut b = OpHarness::new(&model::odd_config(), &shape);
            let d_out = b.input("d_out", rows);
            let weight = b.stored("weight", rows, cols, dtype);
            let d_x = b.output("d_x", cols);
            b.op(LinearGrad { d_out, weight, d_x, slice: op_harness::whole(rows), scale: 0.5, accumulate: false });
            b.check(&[(d_x, Tolerance::Terms(rows.size() + 2))]);
        }
    }
}
