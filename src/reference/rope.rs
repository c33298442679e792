//! Turns the pairs (e, e + E/2) of every head by the angle `position · frequency[e]`.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// `x` (C×heads·E), `segment_start` (N). The angle is computed here; the table that devices read is not.
    pub(super) fn rope(&mut self, x: TensorId, segment_start: TensorId, is_local: bool, inverse: bool) {
        let head_dim = self.config.head_dim as usize;
        let rope = if is_local { self.config.local_rope } else { self.config.rope };
        let frequencies = rope.frequencies(self.config.head_dim);
        let half = head_dim / 2;
        let chunk_start = f64::from(self.chunk.start);
        let [mut x, segment_start] = self.operands([x, segment_start]);
        for i in 0..x.len() {
            let position = chunk_start + i as f64 - segment_start.scalar(i);
            for head in x.row_mut(i).chunks_exact_mut(head_dim.next_multiple_of(4)) {
                for (e, frequency) in frequencies.iter().enumerate() {
                    let angle = position * frequency;
                    let (sin, cos) = if inverse { -angle } else { angle }.sin_cos();
                    let (a, b) = (head[e], head[e + half]);
                    head[e] = a * cos - b * sin;
                    head[e + half] = b * cos + a * sin;
                }
            }
        }
    }
}
