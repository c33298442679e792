use streambp::model::{Axis, Config};
use streambp::step::ops::{RmsNorm, RmsNormWeightGrad};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance, Width};

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for hidden_size in [1, 5, 18, 130] {
            let mut b = OpHarness::new(&Config { hidden_size, ..model::odd_config() }, &shape);
            let x = b.input("x", Axis::flat(hidden_size));
            let rstd = b.input("rstd", Width::Exact(1));
            let d_out = b.input("d_out", Axis::flat(hidden_size));
            let d_weight = b.row("d_weight", Axis::flat(hidden_size));
            let terms = b.tokens() + 1;
            b.op(RmsNormWeightGrad { x, rstd, d_out, d_weight, groups: op_harness::one_group(hidden_size) });
            b.check(&[(d_weight, Tolerance::Terms(terms))]);
        }
    }
}

#[test]
fn reference_is_the_slope() {
    let mut b = OpHarness::new(&Config { hidden_size: 5, ..model::odd_config() }, &Shape::whole(&[7]));
    let x = b.input("x", Axis::flat(5));
    let weight = b.row("weight", Axis::flat(5));
    let out = b.output("out", Axis::flat(5));
    let rstd = b.output("rstd", Width::Exact(1));
    let d_out = b.input("d_out", Axis::flat(5));
    let d_weight = b.row("d_weight", Axis::flat(5));
    b.values(d_weight).fill(0.0);
    let weights = b.values(d_out).to_vec();
    b.op(RmsNorm { x, weight, out, rstd, residual: None, groups: op_harness::one_group(5) });
    b.op(RmsNormWeightGrad { x, rstd, d_out, d_weight, groups: op_harness::one_group(5) });
    b.gradcheck(out, &weights, &[(weight, d_weight)]);
}
