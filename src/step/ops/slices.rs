//! What operations are told beside their operands.

/// Which rows of a matrix are at work, and where what they yield stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSlice {
    /// The first row, in the tensor that holds it.
    pub row: u32,
    /// The column of what that row yields.
    pub col: u32,
    /// Rows.
    pub rows: u32,
}

/// How a row is normed: in so many groups of so many elements, padding left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormGroups {
    /// Groups of a row.
    pub count: u32,
    /// Elements of a group.
    pub size: u32,
}

/// A range of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VocabRange {
    /// The first token id.
    pub first: u32,
    /// Token ids.
    pub count: u32,
}
