use streambp::model::{Activation, Axis, Config};
use streambp::step::ops::Glu;

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

/// Gates within and beyond the range in which an exponential fits f32.
pub const LARGE: [f32; 8] = [-1000.0, -100.0, -88.0, -20.0, 20.0, 89.0, 100.0, 1000.0];

/// A configuration for each activation.
pub fn configs() -> [Config; 2] {
    [Activation::Silu, Activation::GeluTanh].map(|hidden_act| Config { hidden_act, ..model::odd_config() })
}

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for (size, config) in [1, 5, 18, 130].into_iter().flat_map(|size| configs().map(|config| (size, config))) {
            let mut b = OpHarness::new(&config, &shape);
            let [gate, up] = ["gate", "up"].map(|name| b.input(name, Axis::flat(size)));
            let out = b.output("out", Axis::flat(size));
            b.op(Glu { gate, up, out });
            b.check(&[(out, Tolerance::Norm(5e-7))]);
        }
    }
}

#[test]
fn large_gates_do_not_overflow() {
    for config in configs() {
        let mut b = OpHarness::new(&config, &Shape::whole(&[5]));
        let [gate, up] = ["gate", "up"].map(|name| b.input(name, Axis::flat(8)));
        let out = b.output("out", Axis::flat(8));
        b.values(gate).copy_from_slice(&LARGE.repeat(5));
        b.op(Glu { gate, up, out });
        b.check(&[(out, Tolerance::Norm(5e-7))]);
    }
}
