use streambp::model::{Axis, Dtype};
use streambp::step::ops::{Linear, LinearGrad, LinearWeightGrad, RowSlice};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

#[test]
fn kernel_and_reference_agree() {
    for (shape, rows, cols) in op_harness::matrix_shapes() {
        check(&shape, rows, cols);
    }
}

fn check(shape: &Shape, rows: Axis, cols: Axis) {
    for has_residual in [false, true] {
        let mut b = OpHarness::new(&model::odd_config(), shape);
        let x = b.input("x", cols);
        let weight = b.matrix("weight", rows, cols);
        let residual = has_residual.then(|| b.input("residual", rows));
        let out = b.output("out", rows);
        b.op(Linear { x, weight, out, bias: None, residual, slice: op_harness::whole(rows), scale: 1.0, accumulate: false });
        b.check(&[(out, Tolerance::Terms(cols.size() + 1))]);
    }
}

/// Adapters accumulate, with a scale; projections have biases; matrices have other dtypes.
#[test]
fn scale_bias_and_storage() {
    let (rows, cols) = (Axis::flat(18), Axis::flat(70));
    for shape in op_harness::few_shapes() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::Int8] {
            for (has_bias, accumulate) in [(true, false), (true, true), (false, true)] {
                let mut b = OpHarness::new(&model::odd_config(), &shape);
                let x = b.input("x", cols);
                let weight = b.stored("weight", rows, cols, dtype);
                let bias = has_bias.then(|| b.row("bias", rows));
                let residual = has_bias.then(|| b.input("residual", rows));
                let out = if accumulate { b.input("out", rows) } else { b.output("out", rows) };
                b.op(Linear { x, weight, out, bias, residual, slice: op_harness::whole(rows), scale: 0.5, accumulate });
                b.check(&[(out, Tolerance::Terms(cols.size() + 3))]);
            }
        }
    }
}

/// A matrix that is split by rows: each slice produces its own columns, and propagates their gradients.
#[test]
fn parts_of_a_matrix() {
    let (rows, cols) = (Axis::flat(30), Axis::flat(9));
    for shape in op_harness::few_shapes() {
        let mut b = OpHarness::new(&model::odd_config(), &shape);
        let x = b.input("x", cols);
        let out = b.output("out", rows);
        let d_x = b.output("d_x", cols);
        let parts = [(RowSlice { row: 4, col: 0, rows: 20 }, 24), (RowSlice { row: 0, col: 20, rows: 12 }, 12)];
        for (slice, held) in parts {
            let weight = b.matrix("weight", Axis::flat(held), cols);
            let d_weight = b.matrix("d_weight", Axis::flat(held), cols);
            let residual = None;
            b.op(Linear { x, weight, out, bias: None, residual, slice, scale: 1.0, accumulate: false });
            b.op(LinearGrad { d_out: out, weight, d_x, slice, scale: 1.0, accumulate: slice.col > 0 });
            b.op(LinearWeightGrad { d_out: out, x, d_weight, slice });
        }
        b.check(&[(d_x, Tolerance::Norm(2e-6))]);
    }
}
