//! `partials[slot] = ` sums of squares of parts of `x`: runs of its groups of four elements, each dealt out to eight parts in turn.

use super::rows::dot;
use super::scope::{Reference, Scope};
use crate::step::ops::SquareSum;

/// Parts that share a run.
const TOGETHER: usize = 8;

impl Reference for SquareSum {
    /// `x` of any shape, `partials` (parameters × parts).
    fn run(&self, scope: &mut Scope<'_>) {
        let SquareSum { x, partials, slot } = *self;
        let [mut x, mut partials] = scope.operands([x, partials]);
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
