//! `out[i] = weight[input_ids[i]]`, times √D if the family scales its embedding.

use super::scope::{Reference, Scope};
use crate::step::ops::Embedding;

impl Reference for Embedding {
    /// `input_ids` (N), `weight` (a slice of V×D), `out` (C×D). Rows of `out` whose token id is not in the slice are unchanged.
    fn run(&self, scope: &mut Scope<'_>) {
        let Embedding { input_ids, weight, out, first_id } = *self;
        let scale = scope.config.embedding_scale();
        let [input_ids, weight, mut out] = scope.operands([input_ids, weight, out]);
        let ids = first_id as usize..first_id as usize + weight.len();
        for i in 0..out.len() {
            let id = input_ids.scalar(i) as usize;
            if ids.contains(&id) {
                out.row_mut(i).iter_mut().zip(weight.row(id - ids.start)).for_each(|(out, weight)| *out = scale * weight);
            }
        }
    }
}
