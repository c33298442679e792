//! `d_gate = d_out · up · act'(gate)` and `d_up = d_out · act(gate)`.

use super::Scope;
use super::glu::activation;
use crate::step::TensorId;

impl Scope<'_> {
    /// `d_out`, `gate` and `up` (C×F). `gate` and `up` are overwritten by their gradients.
    pub(super) fn glu_grad(&mut self, d_out: TensorId, gate: TensorId, up: TensorId) {
        let act = self.config.hidden_act;
        let [d_out, mut gate, mut up] = self.operands([d_out, gate, up]);
        for i in 0..d_out.len() {
            for ((gate, up), d_out) in gate.row_mut(i).iter_mut().zip(up.row_mut(i)).zip(d_out.row(i)) {
                let [value, slope] = activation(act, *gate);
                (*gate, *up) = (d_out * *up * slope, d_out * value);
            }
        }
    }
}
