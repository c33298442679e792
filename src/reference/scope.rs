//! The scope of an operation on the CPU: tensors, configuration and chunk.

use std::slice::SliceIndex;

use half::bf16;

use super::rows::add_scaled;
use super::tensors::{Matrix, Tensors};
use crate::model::Config;
use crate::step::ops::Operation;
use crate::step::{Chunk, Rows, TensorId};

/// The reference implementation of an operation, in f64.
pub(super) trait Reference: Operation {
    /// Runs the operation for the chunk of the scope.
    fn run(&self, scope: &mut Scope<'_>);
}

/// The tensors, the model's configuration, the longest sequence that is planned for, and the chunk.
pub(super) struct Scope<'a> {
    pub tensors: &'a mut Tensors,
    pub config: &'a Config,
    pub seq_len: u32,
    pub chunk: Chunk,
}

/// A tensor by tokens.
pub(super) struct Whole {
    all: Vec<f64>,
    cols: usize,
    row_modulus: usize,
}

impl Whole {
    /// The row of a token.
    pub fn token(&self, token: usize) -> &[f64] {
        &self.all[token % self.row_modulus * self.cols..][..self.cols]
    }
}

impl Scope<'_> {
    /// The operands of an operation, in the given order.
    ///
    /// # Panics
    /// If a tensor occurs twice.
    pub fn operands<const COUNT: usize>(&mut self, ids: [TensorId; COUNT]) -> [Matrix<'_>; COUNT] {
        let (start, count) = (self.chunk.start as usize, self.chunk.count as usize);
        let mut shapes = ids.map(|id| self.tensors.shapes[id.0 as usize]).into_iter();
        let values = self.tensors.values.get_disjoint_mut(ids.map(|id| id.0 as usize)).expect("the operands are different tensors");
        values.map(|all| {
            let (rows, cols) = shapes.next().expect("as many shapes as tensors");
            let (row_modulus, first, count) = match rows {
                Rows::Fixed(rows) => (1, 0, rows as usize),
                Rows::Tokens => (usize::MAX, start, count),
                Rows::Ring(tokens) => (tokens as usize, start % tokens as usize, count),
                Rows::Chunk => (1, 0, count),
            };
            assert!((first + count) * cols <= all.len(), "rows {first}..{} of {rows:?}", first + count);
            Matrix { all, cols, first, count, row_modulus, end: start + count }
        })
    }

    /// A copy of a tensor of other tokens than those of the chunk, for look-ups by token.
    pub fn whole(&self, id: TensorId) -> Whole {
        let (rows, cols) = self.tensors.shapes[id.0 as usize];
        let row_modulus = rows.row_modulus().expect("rows are tokens") as usize;
        Whole { all: self.tensors.all(id).to_vec(), cols, row_modulus }
    }

    /// Adds `x` to the given columns of the chunk's rows of `sum`.
    pub fn add_rows(&mut self, sum: TensorId, x: TensorId, columns: impl SliceIndex<[f64], Output = [f64]> + Clone) {
        let [mut sum, x] = self.operands([sum, x]);
        for i in 0..x.len() {
            add_scaled(&mut sum.row_mut(i)[columns.clone()], 1.0, &x.row(i)[columns.clone()]);
        }
    }

    /// Rounds the chunk's rows of a tensor, as they are stored: an f64 by its f32, since a conversion of its own looks at a part of its bits.
    pub fn round_to_bf16(&mut self, id: TensorId) {
        let [mut stored] = self.operands([id]);
        stored.rows_mut().iter_mut().for_each(|value| *value = bf16::from_f32(*value as f32).to_f64());
    }

    /// The constant that the family's norms add to their weights: 0 or 1.
    pub fn norm_plus(&self) -> f64 {
        if self.config.family().norms_add_one { 1.0 } else { 0.0 }
    }
}
