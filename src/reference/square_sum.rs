//! `partials[slot] = ` sums of squares of parts of `x`: runs of its groups of four elements, each dealt out to eight parts in turn.

use super::Scope;
use super::rows::dot;
use crate::step::TensorId;

/// Parts that share a run.
const TOGETHER: usize = 8;

impl Scope<'_> {
    /// `x` of any shape, `partials` (parameters × parts).
    pub(super) fn square_sum(&mut self, x: TensorId, partials: TensorId, slot: u32) {
        let [mut x, mut partials] = self.operands([x, partials]);
        let parts = partials.cols();
        let sums = partials.row_mut(slot as usize);
        sums.fill(0.0);
        let groups = x.rows_mut().chunks_exact(4);
        let length = groups.len().div_ceil(parts / TOGETHER);
        for (i, group) in groups.enumerate() {
            sums[i / length * TOGETHER + i % length % TOGETHER] += dot(group, group);
        }
    }
}
