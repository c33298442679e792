//! Rotates the pairs (e, e + E/2) of every head by the angle `position · frequency[e]`, and multiplies them
//! by the embedding's factor.

use super::scope::{Reference, Scope};
use crate::step::ops::Rope;

impl Reference for Rope {
    /// `x` (C×heads·E), `segment_start` (N). It computes the angles itself instead of reading the table of the GPU kernels.
    fn run(&self, scope: &mut Scope<'_>) {
        let Rope { x, segment_start, is_local, inverse, .. } = *self;
        let head_dim = scope.config.head_dim as usize;
        let rope = if is_local { scope.config.local_rope } else { scope.config.rope };
        let frequencies = scope.config.frequencies(rope, scope.seq_len);
        let factor = rope.attention_factor();
        let half = head_dim / 2;
        let chunk_start = f64::from(scope.chunk.start);
        let [mut x, segment_start] = scope.operands([x, segment_start]);
        for i in 0..x.len() {
            let position = chunk_start + i as f64 - segment_start.scalar(i);
            for head in x.row_mut(i).chunks_exact_mut(head_dim.next_multiple_of(4)) {
                for (e, frequency) in frequencies.iter().enumerate() {
                    let angle = position * frequency;
                    let (sin, cos) = if inverse { -angle } else { angle }.sin_cos();
                    let (sin, cos) = (factor * sin, factor * cos);
                    let (a, b) = (head[e], head[e + half]);
                    head[e] = a * cos - b * sin;
                    head[e + half] = b * cos + a * sin;
                }
            }
        }
    }
}
