//! `out = x`.

use super::scope::{Reference, Scope};
use crate::step::ops::CopyRows;

impl Reference for CopyRows {
    /// `x` and `out` (C×D).
    fn run(&self, scope: &mut Scope<'_>) {
        let CopyRows { x, out } = *self;
        let [x, mut out] = scope.operands([x, out]);
        for i in 0..out.len() {
            out.row_mut(i).copy_from_slice(x.row(i));
        }
    }
}
