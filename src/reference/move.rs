use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    pub(super) fn move_rows(&mut self, x: TensorId, out: TensorId) {
        let [x, mut out] = self.operands([x, out]);
        for i in 0..x.len() {
            out.row_mut(i).copy_from_slice(x.row(i));
        }
    }
}
