use streambp::model::Axis;
use streambp::step::{Op, TensorId};

use super::swiglu::LARGE;
use crate::support::bench::{self, Bench, Shape, Tolerance};
use crate::support::model;

fn bench(shape: &Shape, size: u32) -> (Bench, [TensorId; 4]) {
    let mut b = Bench::new(&model::odd_config(), shape);
    let [gate, up, d_out] = ["gate", "up", "d_out"].map(|name| b.input(name, Axis::flat(size)));
    let out = b.output("out", Axis::flat(size));
    b.op(Op::SwiGlu { gate, up, out });
    b.op(Op::SwiGluGrad { d_out, gate, up });
    (b, [gate, up, d_out, out])
}

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::shapes() {
        for size in [1, 5, 18, 130] {
            let (b, [gate, up, ..]) = bench(&shape, size);
            b.check(&[(gate, Tolerance::Norm(5e-7)), (up, Tolerance::Norm(5e-7))]);
        }
    }
}

#[test]
fn large_gates_do_not_overflow() {
    let (mut b, [gate, up, ..]) = bench(&Shape::whole(&[5]), 8);
    b.values(gate).copy_from_slice(&LARGE.repeat(5));
    b.check(&[(gate, Tolerance::Norm(5e-7)), (up, Tolerance::Norm(5e-7))]);
}

#[test]
fn reference_is_the_slope() {
    let (mut b, [gate, up, d_out, out]) = bench(&Shape::whole(&[7]), 5);
    let weights = b.values(d_out).to_vec();
    b.check_slopes(out, &weights, &[(gate, gate), (up, up)]);
}
