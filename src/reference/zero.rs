//! `out = 0`.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// The chunk's rows of `out`, or all if they are no tokens.
    pub(super) fn zero(&mut self, out: TensorId) {
        let [mut out] = self.operands([out]);
        out.rows_mut().fill(0.0);
    }
}
