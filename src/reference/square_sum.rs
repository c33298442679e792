//! `partials[slot..slot + slots]` = partial sums of the squares of `x`: it splits the groups of four elements into runs, and eight partial sums share a
//! run alternately.

use super::rows::dot;
use super::scope::{Reference, Scope};
use crate::step::ops::SquareSum;

/// Partial sums that share a run.
const TOGETHER: usize = 8;

impl Reference for SquareSum {
    /// `x` of any shape, `partials` (slots×256).
    fn run(&self, scope: &mut Scope<'_>) {
        let SquareSum { x, partials, slot, slots } = *self;
        let [mut x, mut partials] = scope.operands([x, partials]);
        let parts = partials.cols() * slots as usize;
        let mut sums = vec![0.0; parts];
        let groups = x.rows_mut().chunks_exact(4);
        let length = groups.len().div_ceil(parts / TOGETHER);
        for (i, group) in groups.enumerate() {
            sums[i / length * TOGETHER + i % length % TOGETHER] += dot(group, group);
        }
        for (row, sums) in (slot as usize..).zip(sums.chunks_exact(partials.cols())) {
            partials.row_mut(row).copy_from_slice(sums);
        }
    }
}
