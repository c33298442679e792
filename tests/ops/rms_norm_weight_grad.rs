use streambp::model::{Axis, Config};
use streambp::step::Op;

use crate::support::bench::{self, Bench, Shape, Tolerance, Width};
use crate::support::model;

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::shapes() {
        for hidden_size in [1, 5, 18, 130] {
            let mut b = Bench::new(&Config { hidden_size, ..model::odd_config() }, &shape);
            let x = b.input("x", Axis::flat(hidden_size));
            let rstd = b.input("rstd", Width::Exact(1));
            let d_out = b.input("d_out", Axis::flat(hidden_size));
            let d_weight = b.row("d_weight", Axis::flat(hidden_size));
            let terms = b.tokens() + 1;
            b.op(Op::RmsNormWeightGrad { x, rstd, d_out, d_weight, groups: bench::one_group(hidden_size) });
            b.check(&[(d_weight, Tolerance::Terms(terms))]);
        }
    }
}

#[test]
fn reference_is_the_slope() {
    let mut b = Bench::new(&Config { hidden_size: 5, ..model::odd_config() }, &Shape::whole(&[7]));
    let x = b.input("x", Axis::flat(5));
    let weight = b.row("weight", Axis::flat(5));
    let out = b.output("out", Axis::flat(5));
    let rstd = b.output("rstd", Width::Exact(1));
    let d_out = b.input("d_out", Axis::flat(5));
    let d_weight = b.row("d_weight", Axis::flat(5));
    b.values(d_weight).fill(0.0);
    let weights = b.values(d_out).to_vec();
    b.op(Op::RmsNorm { x, weight, out, rstd, residual: None, groups: bench::one_group(5) });
    b.op(Op::RmsNormWeightGrad { x, rstd, d_out, d_weight, groups: bench::one_group(5) });
    b.check_slopes(out, &weights, &[(weight, d_weight)]);
}
