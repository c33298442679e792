//! `out = silu(gate) · up`, where `silu(x) = x / (1 + e^−x)`.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// `gate`, `up` and `out` (C×F).
    pub(super) fn swiglu(&mut self, gate: TensorId, up: TensorId, out: TensorId) {
        let [gate, up, mut out] = self.operands([gate, up, out]);
        for i in 0..out.len() {
            for ((out, gate), up) in out.row_mut(i).iter_mut().zip(gate.row(i)).zip(up.row(i)) {
                *out = gate * sigmoid(*gate) * up;
            }
        }
    }
}

/// `1 / (1 + e^−x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
