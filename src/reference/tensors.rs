//! The numbers of all tensors, and the rows of them that a chunk is about.

use crate::step::{Program, Rows, Storage, TensorId};

/// Every tensor's values, in the layout of the device.
pub(super) struct Tensors {
    pub values: Vec<Vec<f64>>,
    pub shapes: Vec<(Rows, usize)>,
}

/// A tensor as an operation sees it.
pub(super) struct Matrix<'a> {
    /// All rows, one behind the other.
    pub all: &'a mut [f64],
    /// Elements of a row, padding included.
    pub cols: usize,
    /// The first row that the chunk is about.
    pub first: usize,
    /// How many rows it is about: one for each of its tokens, or all if the rows are no tokens.
    pub count: usize,
    /// After how many tokens the rows start over.
    pub row_modulus: usize,
    /// One behind the chunk's last token.
    pub end: usize,
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
        let row = if token < self.row_modulus { token } else { token % self.row_modulus };
        &self.all[row * self.cols..][..self.cols]
    }

    /// The rows that the chunk is about, one behind the other.
    pub fn rows_mut(&mut self) -> &mut [f64] {
        &mut self.all[self.first * self.cols..(self.first + self.count) * self.cols]
    }

    /// The rows of all tokens up to the chunk's last one that are there, one behind the other, and the token of a row.
    pub fn prefix_mut(&mut self) -> (&mut [f64], impl Fn(usize) -> usize + Copy + Send + use<>) {
        let (row_modulus, end) = (self.row_modulus, self.end);
        (&mut self.all[..end.min(row_modulus) * self.cols], move |row| row + (end - 1 - row) / row_modulus * row_modulus)
    }
}
