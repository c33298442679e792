//! The numbers of all tensors, and the rows of them that a chunk is about.

use std::slice::SliceIndex;

use super::Scope;
use super::rows::add_scaled;
use crate::step::{Program, Rows, Storage, TensorId};

/// Every tensor's values, in the layout of the device.
pub(super) struct Tensors {
    values: Vec<Vec<f64>>,
    shapes: Vec<(Rows, usize)>,
}

/// A tensor as an operation sees it.
pub(super) struct Matrix<'a> {
    /// All rows, one behind the other.
    all: &'a mut [f64],
    /// Elements of a row, padding included.
    cols: usize,
    /// The first row that the chunk is about.
    first: usize,
    /// How many rows it is about: one for each of its tokens, or all if the rows are no tokens.
    count: usize,
    /// After how many tokens the rows begin anew.
    period: usize,
    /// One behind the chunk's last token.
    end: usize,
}

impl Tensors {
    /// Room for all tensors that operations touch.
    pub fn new(program: &Program) -> Self {
        let values = program.tensors().map(|(_, tensor)| match tensor.storage {
            Storage::Own => vec![0.0; tensor.elements() as usize],
            Storage::Arena | Storage::Host => vec![f64::NAN; tensor.elements() as usize],
            Storage::Uniform | Storage::ReadBack => Vec::new(),
        });
        let shapes = program.tensors().map(|(_, tensor)| (tensor.rows, tensor.cols as usize));
        Tensors { values: values.collect(), shapes: shapes.collect() }
    }

    /// All of a tensor.
    pub fn all(&self, id: TensorId) -> &[f64] {
        &self.values[id.0 as usize]
    }

    /// All of a tensor, to be written.
    pub fn all_mut(&mut self, id: TensorId) -> &mut [f64] {
        &mut self.values[id.0 as usize]
    }
}

impl Scope<'_> {
    /// The operands of an operation, in that order.
    ///
    /// # Panics
    /// If a tensor stands there twice.
    pub fn operands<const COUNT: usize>(&mut self, ids: [TensorId; COUNT]) -> [Matrix<'_>; COUNT] {
        let (start, count) = (self.chunk.start as usize, self.chunk.count as usize);
        let mut shapes = ids.map(|id| self.tensors.shapes[id.0 as usize]).into_iter();
        let values = self.tensors.values.get_disjoint_mut(ids.map(|id| id.0 as usize)).expect("the operands are different tensors");
        values.map(|all| {
            let (rows, cols) = shapes.next().expect("as many shapes as tensors");
            let (period, first, count) = match rows {
                Rows::Fixed(rows) => (1, 0, rows as usize),
                Rows::Tokens => (usize::MAX, start, count),
                Rows::Ring(tokens) => (tokens as usize, start % tokens as usize, count),
                Rows::Chunk(_) => (1, 0, count),
            };
            assert!((first + count) * cols <= all.len(), "rows {first}..{} of {rows:?}", first + count);
            Matrix { all, cols, first, count, period, end: start + count }
        })
    }
}

impl Scope<'_> {
    /// Adds to some columns of the chunk's rows of `sum` those of `x`.
    pub fn add_rows(&mut self, sum: TensorId, x: TensorId, columns: impl SliceIndex<[f64], Output = [f64]> + Clone) {
        let [mut sum, x] = self.operands([sum, x]);
        for i in 0..x.len() {
            add_scaled(&mut sum.row_mut(i)[columns.clone()], 1.0, &x.row(i)[columns.clone()]);
        }
    }
}

impl Matrix<'_> {
    /// How many rows the chunk is about.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Elements of a row, padding included.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row i of those that the chunk is about.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.all[(self.first + i) * self.cols..][..self.cols]
    }

    /// Row i of those that the chunk is about, to be written.
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        let at = (self.first + i) * self.cols;
        &mut self.all[at..at + self.cols]
    }

    /// The only element of row i, in a tensor with one column.
    pub fn scalar(&self, i: usize) -> f64 {
        self.row(i)[0]
    }

    /// The row of a token of the batch, in a tensor that has one for each, or that is a ring.
    pub fn token(&self, token: usize) -> &[f64] {
        // A division would take as long as what is done with a head.
        let row = if token < self.period { token } else { token % self.period };
        &self.all[row * self.cols..][..self.cols]
    }

    /// The rows that the chunk is about, one behind the other.
    pub fn rows_mut(&mut self) -> &mut [f64] {
        &mut self.all[self.first * self.cols..(self.first + self.count) * self.cols]
    }

    /// The rows of all tokens up to the chunk's last one that are there, one behind the other, and the token of a row.
    pub fn prefix_mut(&mut self) -> (&mut [f64], impl Fn(usize) -> usize + Copy + Send + use<>) {
        let (period, end) = (self.period, self.end);
        (&mut self.all[..end.min(period) * self.cols], move |row| row + (end - 1 - row) / period * period)
    }
}
