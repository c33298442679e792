//! Parameters of operations besides their operands.

/// A slice of rows of a matrix, and the output columns that they produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSlice {
    /// The first row, in the tensor.
    pub row: u32,
    /// The output column of that row.
    pub col: u32,
    /// The number of rows.
    pub rows: u32,
}

/// The groups of a row that an RMSNorm normalises separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormGroups {
    /// The number of groups of a row.
    pub count: u32,
    /// Elements of a group, without padding.
    pub size: u32,
}

/// A range of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VocabRange {
    /// The first token id.
    pub first: u32,
    /// The number of token ids.
    pub count: u32,
}
