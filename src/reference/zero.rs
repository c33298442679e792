//! `out = 0`.

use super::scope::{Reference, Scope};
use crate::step::ops::Zero;

impl Reference for Zero {
    /// The chunk's rows of `out`, or all rows if they are not tokens.
    fn run(&self, scope: &mut Scope<'_>) {
        let Zero { out, .. } = *self;
        let [mut out] = scope.operands([out]);
        out.rows_mut().fill(0.0);
    }
}
