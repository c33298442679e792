//! The values of all tensors, and views of the rows of a chunk.

use crate::step::{Program, Rows, Storage, TensorId};

/// The values of all tensors, in the device's layout.
pub(super) struct Tensors {
    pub values: Vec<Vec<f64>>,
    pub shapes: Vec<(Rows, usize)>,
}

/// A view of a tensor for an operation.
pub(super) struct Matrix<'a> {
    /// All rows, contiguous.
    pub all: &'a mut [f64],
    /// Elements of a row, padding included.
    pub cols: usize,
    /// The first row of the chunk.
    pub first: usize,
    /// The number of rows of the chunk: one per token, or all rows if rows are not tokens.
    pub count: usize,
    /// The row modulus: token t has row `t mod` this.
    pub row_modulus: usize,
    /// One past the chunk's last token.
    pub end: usize,
}

impl Tensors {
    /// Allocates all tensors that operations touch.
    pub fn new(program: &Program) -> Self {
        let values = program.tensors().map(|(_, tensor)| match tensor.storage {
            Storage::Own => vec![0.0; tensor.elements() as usize],
            Storage::Arena | Storage::Host => vec![f64::NAN; tensor.elements() as usize],
            Storage::Uniform | Storage::ReadBack => Vec::new(),
        });
        let shapes = program.tensors().map(|(_, tensor)| (tensor.rows, tensor.cols as usize));
        Tensors { values: values.collect(), shapes: shapes.collect() }
    }

    /// All values of a tensor.
    pub fn all(&self, id: TensorId) -> &[f64] {
        &self.values[id.0 as usize]
    }

    /// All values of a tensor, mutable.
    pub fn all_mut(&mut self, id: TensorId) -> &mut [f64] {
        &mut self.values[id.0 as usize]
    }
}

impl Matrix<'_> {
    /// The number of rows of the chunk.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Elements of a row, padding included.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row i of the chunk.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.all[(self.first + i) * self.cols..][..self.cols]
    }

    /// Row i of the chunk, mutable.
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        let at = (self.first + i) * self.cols;
        &mut self.all[at..at + self.cols]
    }

    /// The only element of row i, in a tensor with one column.
    pub fn scalar(&self, i: usize) -> f64 {
        self.row(i)[0]
    }

    /// The row of a token of the batch, in a tensor of all tokens or a ring.
    pub fn token(&self, token: usize) -> &[f64] {
        // A division would take as long as processing a head.
        let row = if token < self.row_modulus { token } else { token % self.row_modulus };
        &self.all[row * self.cols..][..self.cols]
    }

    /// The rows of the chunk, contiguous and mutable.
    pub fn rows_mut(&mut self) -> &mut [f64] {
        &mut self.all[self.first * self.cols..(self.first + self.count) * self.cols]
    }

    /// The existing rows of all tokens up to the chunk's last one, contiguous and mutable, and a function from a row to its token.
    pub fn prefix_mut(&mut self) -> (&mut [f64], impl Fn(usize) -> usize + Copy + Send + use<>) {
        let (row_modulus, end) = (self.row_modulus, self.end);
        (&mut self.all[..end.min(row_modulus) * self.cols], move |row| row + (end - 1 - row) / row_modulus * row_modulus)
    }
}
