//! `out[i] = weight[input_ids[i]]`.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// `input_ids` (N), `weight` (V×D), `out` (C×D).
    pub(super) fn embedding(&mut self, input_ids: TensorId, weight: TensorId, out: TensorId) {
        let [input_ids, weight, mut out] = self.operands([input_ids, weight, out]);
        for i in 0..out.len() {
            out.row_mut(i).copy_from_slice(weight.row(input_ids.scalar(i) as usize));
        }
    }
}
