//! `out = act(gate) · up`.

use super::scope::{Reference, Scope};
use crate::model::Activation;
use crate::step::ops::Glu;

impl Reference for Glu {
    /// `gate`, `up` and `out` (C×F).
    fn run(&self, scope: &mut Scope<'_>) {
        let Glu { gate, up, out } = *self;
        let act = scope.config.hidden_act;
        let [gate, up, mut out] = scope.operands([gate, up, out]);
        for i in 0..out.len() {
            for ((out, gate), up) in out.row_mut(i).iter_mut().zip(gate.row(i)).zip(up.row(i)) {
                *out = activation(act, *gate)[0] * up;
            }
        }
    }
}

/// The activation of the gate, and its derivative.
pub(super) fn activation(act: Activation, x: f64) -> [f64; 2] {
    match act {
        Activation::Silu => {
            let s = 1.0 / (1.0 + (-x).exp());
            [x * s, s * (1.0 + x * (1.0 - s))]
        }
        Activation::GeluTanh => {
            let (root, cube) = ((2.0 / std::f64::consts::PI).sqrt(), 0.044715);
            let t = (root * (x + cube * x.powi(3))).tanh();
            let slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * root * (1.0 + 3.0 * cube * x * x);
            [0.5 * x * (1.0 + t), slope]
        }
    }
}
