use streambp::model::{Axis, Config};
use streambp::step::Op;

use crate::support::bench::{self, Bench, Tolerance, Width};
use crate::support::model;

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::shapes() {
        for hidden_size in [1, 5, 18, 130] {
            let mut b = Bench::new(&Config { hidden_size, ..model::odd_config() }, &shape);
            let x = b.input("x", Axis::flat(hidden_size));
            let weight = b.row("weight", Axis::flat(hidden_size));
            let out = b.output("out", Axis::flat(hidden_size));
            let rstd = b.output("rstd", Width::Exact(1));
            b.op(Op::RmsNorm { x, weight, out, rstd });
            b.check(&[(out, Tolerance::Norm(5e-7)), (rstd, Tolerance::Norm(5e-7))]);
        }
    }
}
