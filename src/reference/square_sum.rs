//! `partials[slot] = ` sums of squares of parts of `x`: its groups of four elements are dealt out in turn.

use super::Scope;
use super::rows::dot;
use crate::step::TensorId;

impl Scope<'_> {
    /// `x` of any shape, `partials` (parameters × parts).
    pub(super) fn square_sum(&mut self, x: TensorId, partials: TensorId, slot: u32) {
        let [mut x, mut partials] = self.operands([x, partials]);
        let parts = partials.cols();
        let sums = partials.row_mut(slot as usize);
        sums.fill(0.0);
        for (i, group) in x.rows_mut().chunks_exact(4).enumerate() {
            sums[i % parts] += dot(group, group);
        }
    }
}
