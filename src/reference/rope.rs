//! Turns the pairs (e, e + E/2) of every head by the angle `position · θ^(−e / (E/2))`.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// `x` (C×heads·E), `segment_start` (N). The angle is computed here; the table that devices read is not.
    pub(super) fn rope(&mut self, x: TensorId, segment_start: TensorId, inverse: bool) {
        let (head_dim, theta) = (self.config.head_dim as usize, self.config.rope_theta);
        let half = head_dim / 2;
        let chunk_start = f64::from(self.chunk.start);
        let [mut x, segment_start] = self.operands([x, segment_start]);
        for i in 0..x.len() {
            let position = chunk_start + i as f64 - segment_start.scalar(i);
            for head in x.row_mut(i).chunks_exact_mut(head_dim.next_multiple_of(4)) {
                for e in 0..half {
                    let angle = position * theta.powf(-(e as f64) / half as f64);
                    let (sin, cos) = if inverse { -angle } else { angle }.sin_cos();
                    let (a, b) = (head[e], head[e + half]);
                    head[e] = a * cos - b * sin;
                    head[e + half] = b * cos + a * sin;
                }
            }
        }
    }
}
