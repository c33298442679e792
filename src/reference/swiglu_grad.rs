//! `d_gate = d_out · up · silu'(gate)` and `d_up = d_out · silu(gate)`, where `silu'(x) = σ(x) · (1 + x · (1 − σ(x)))`.

use super::Scope;
use super::swiglu::sigmoid;
use crate::step::TensorId;

impl Scope<'_> {
    /// `d_out`, `gate` and `up` (C×F). `gate` and `up` are overwritten by their gradients.
    pub(super) fn swiglu_grad(&mut self, d_out: TensorId, gate: TensorId, up: TensorId) {
        let [d_out, mut gate, mut up] = self.operands([d_out, gate, up]);
        for i in 0..d_out.len() {
            for ((gate, up), d_out) in gate.row_mut(i).iter_mut().zip(up.row_mut(i)).zip(d_out.row(i)) {
                let s = sigmoid(*gate);
                (*gate, *up) = (d_out * *up * s * (1.0 + *gate * (1.0 - s)), d_out * *gate * s);
            }
        }
    }
}
