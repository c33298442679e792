//! Messages between ranks, and the batches of a step for which there are some.

/// Some rows of a tensor, on their way between two ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The rank that sends them, or receives them.
    pub rank: u32,
    /// The first row.
    pub first_row: u32,
    /// The number of rows.
    pub rows: u32,
    /// What it is: sender and receiver agree on it.
    pub tag: u32,
    /// The batches of a step for which it is sent.
    pub batches: Batches,
}

/// Batches of a step with accumulated gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Batches {
    /// All.
    All,
    /// The first.
    First,
    /// All but the first, whose sums begin at zero.
    ButFirst,
    /// All but the last, whose sums are complete.
    ButLast,
    /// Those whose gradients are computed: not those of a validation.
    Trained,
}

/// The place of a batch in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOfStep {
    /// Is it the first?
    pub is_first: bool,
    /// Is it the last?
    pub is_last: bool,
    /// Are its gradients computed?
    pub is_trained: bool,
}

impl BatchOfStep {
    /// The only one of a step.
    pub const ALONE: BatchOfStep = BatchOfStep { is_first: true, is_last: true, is_trained: true };
    /// One of a validation, which ends with the loss.
    pub const VALIDATED: BatchOfStep = BatchOfStep { is_trained: false, ..BatchOfStep::ALONE };

    /// The one with that number of so many.
    pub fn of(number: u32, batches: u32) -> BatchOfStep {
        BatchOfStep { is_first: number == 0, is_last: number + 1 == batches, is_trained: true }
    }
}

impl Batches {
    /// Is a batch at that place among them?
    pub fn include(self, batch: BatchOfStep) -> bool {
        match self {
            Batches::All => true,
            Batches::First => batch.is_first,
            Batches::ButFirst => !batch.is_first,
            Batches::ButLast => !batch.is_last,
            Batches::Trained => batch.is_trained,
        }
    }
}
