//! `d_gate = d_out · up · act'(gate)` and `d_up = d_out · act(gate)`.

use super::glu::activation;
use super::scope::{Reference, Scope};
use crate::step::ops::GluGrad;

impl Reference for GluGrad {
    /// `d_out`, `gate` and `up` (C×F). `gate` and `up` are overwritten by their gradients.
    fn run(&self, scope: &mut Scope<'_>) {
        let GluGrad { d_out, gate, up } = *self;
        let act = scope.config.hidden_act;
        let [d_out, mut gate, mut up] = scope.operands([d_out, gate, up]);
        for i in 0..d_out.len() {
            for ((gate, up), d_out) in gate.row_mut(i).iter_mut().zip(up.row_mut(i)).zip(d_out.row(i)) {
                let [value, slope] = activation(act, *gate);
                (*gate, *up) = (d_out * *up * slope, d_out * value);
            }
        }
    }
}
