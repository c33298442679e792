use streambp::model::{Axis, Config};
use streambp::step::TensorId;
use streambp::step::ops::{Glu, GluGrad};

use super::glu::{LARGE, configs};
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

fn harness(config: &Config, shape: &Shape, size: u32) -> (OpHarness, [TensorId; 4]) {
    let mut b = OpHarness::new(config, shape);
    let [gate, up, d_out] = ["gate", "up", "d_out"].map(|name| b.input(name, Axis::flat(size)));
    let out = b.output("out", Axis::flat(size));
    b.op(Glu { gate, up, out });
    b.op(GluGrad { d_out, gate, up });
    (b, [gate, up, d_out, out])
}

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for (size, config) in [1, 5, 18, 130].into_iter().flat_map(|size| configs().map(|config| (size, config))) {
            let (b, [gate, up, ..]) = harness(&config, &shape, size);
            b.check(&[(gate, Tolerance::Norm(1e-6)), (up, Tolerance::Norm(1e-6))]);
        }
    }
}

#[test]
fn large_gates_do_not_overflow() {
    for config in configs() {
        let (mut b, [gate, up, ..]) = harness(&config, &Shape::whole(&[5]), 8);
        b.values(gate).copy_from_slice(&LARGE.repeat(5));
        b.check(&[(gate, Tolerance::Norm(5e-7)), (up, Tolerance::Norm(5e-7))]);
    }
}

#[test]
fn reference_is_the_slope() {
    for config in configs() {
        let (mut b, [gate, up, d_out, out]) = harness(&config, &Shape::whole(&[7]), 5);
        let weights = b.values(d_out).to_vec();
        b.gradcheck(out, &weights, &[(gate, gate), (up, up)]);
    }
}
