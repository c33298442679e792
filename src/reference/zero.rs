//! `out = 0`.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// Whatever the chunk, all of `out`.
    pub(super) fn zero(&mut self, out: TensorId) {
        self.tensors.all_mut(out).fill(0.0);
    }
}
