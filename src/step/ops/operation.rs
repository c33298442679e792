//! The interface of an operation: its operands and its cost.

use arrayvec::ArrayVec;

use crate::model::Config;
use crate::step::batch::BatchShape;
use crate::step::chunk::Chunk;
use crate::step::tensor::{Tensor, TensorId};

/// How an operation accesses a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The operation reads the tensor.
    Read,
    /// The operation writes the tensor, and may read it first.
    Write,
}

/// An operand: a tensor that an operation touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The field of the operation's struct.
    pub name: &'static str,
    /// The tensor.
    pub tensor: TensorId,
    /// Whether it is read or written.
    pub access: Access,
    /// Does the operation touch the rows of all tokens that are visible to the chunk's queries, not only the chunk's own rows?
    pub is_visible_prefix: bool,
}

impl Operand {
    /// Is the tensor written?
    pub fn is_written(&self) -> bool {
        self.access == Access::Write
    }
}

/// The most operands of an operation.
pub const MOST_OPERANDS: usize = 16;

/// Operands of an operation, on the stack: a search for a strategy lists those of a million operations.
pub type OperandList<T> = ArrayVec<T, MOST_OPERANDS>;

/// The operands of an operation. The macro `operation!` implements it.
pub trait Operands {
    /// All operands.
    fn operands(&self) -> OperandList<Operand>;

    /// The ids of the operands, for replacement.
    fn operands_mut(&mut self) -> OperandList<&mut TensorId>;
}

/// How an operation may share a dispatch with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// In workgroups of its own: neither touches what the other writes.
    Beside,
    /// In the same workgroups, which go on with what they have just written.
    After,
}

/// An operation on named tensors.
pub trait Operation: Operands {
    /// Floating-point operations for one chunk; a multiply-add counts as two.
    fn flops(&self, sizes: &Sizes) -> u64;

    /// The sliding window in tokens, the query included. `None` unless it is an attention operation with a window.
    fn window(&self) -> Option<u32> {
        None
    }

    /// The rows that it reads of an operand, by the field's name, if these are neither those of the chunk nor what its queries see of the batch.
    fn rows_read(&self, _sizes: &Sizes, _operand: &str) -> Option<u64> {
        None
    }

    /// May it share a dispatch with others, each in workgroups of its own?
    fn has_siblings(&self) -> bool {
        false
    }

    /// Does it write its own part of a tensor that others of its kind write, too?
    fn writes_own_part(&self) -> bool {
        false
    }

    /// The tensor with which it goes on, tile by tile, where it was just written.
    fn continues(&self) -> Option<TensorId> {
        None
    }
}

/// The sizes that the cost of an operation depends on.
#[derive(Clone, Copy)]
pub struct Sizes<'a> {
    /// The model's configuration.
    pub config: &'a Config,
    /// The sequences of the batch.
    pub batch: &'a BatchShape,
    /// All tensors of the program.
    pub tensors: &'a [Tensor],
    /// The chunk.
    pub chunk: Chunk,
}

impl Sizes<'_> {
    /// Elements of the chunk's rows of a tensor.
    pub fn chunk_elements(&self, id: TensorId) -> u64 {
        u64::from(self.chunk.count) * self.cols(id)
    }

    /// Elements of a whole tensor.
    pub fn elements(&self, id: TensorId) -> u64 {
        self.tensor(id).elements()
    }

    /// Rows of a whole tensor.
    pub fn rows(&self, id: TensorId) -> u32 {
        self.tensor(id).row_count
    }

    /// Elements of a row.
    pub fn cols(&self, id: TensorId) -> u64 {
        u64::from(self.tensor(id).cols)
    }

    /// Floating-point operations of multiplying the chunk's rows by a matrix of `rows`×`cols`; a multiply-add counts as two.
    pub fn matmul(&self, rows: u32, cols: u64) -> u64 {
        2 * u64::from(self.chunk.count) * u64::from(rows) * cols
    }

    /// Pairs of a query of the chunk and a key that is visible to it, in all heads.
    pub fn attention_pairs(&self, window: Option<u32>) -> u64 {
        self.batch.visible_pairs(self.chunk.start..self.chunk.end(), window) * u64::from(self.config.num_attention_heads)
    }

    /// E: the head dimension.
    pub fn head_dim(&self) -> u64 {
        u64::from(self.config.head_dim)
    }

    fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }
}

/// Declares an operation: a struct with a field for each operand, marked by its access, and after a semicolon its other parameters.
///
/// The marks are `read`, `write` (the operation may read the operand first), `read_visible` and `write_visible` (the rows of all tokens
/// that are visible to the chunk's queries), and `maybe_read` (an optional operand).
macro_rules! operation {
    (@type maybe_read) => { Option<$crate::step::tensor::TensorId> };
    (@type $access:ident) => { $crate::step::tensor::TensorId };

    (@operand $op:ident maybe_read $name:ident) => { $op.$name.map(|tensor| operation!(@of $name tensor Read false)) };
    (@operand $op:ident read $name:ident) => { Some(operation!(@of $name ($op.$name) Read false)) };
    (@operand $op:ident write $name:ident) => { Some(operation!(@of $name ($op.$name) Write false)) };
    (@operand $op:ident read_visible $name:ident) => { Some(operation!(@of $name ($op.$name) Read true)) };
    (@operand $op:ident write_visible $name:ident) => { Some(operation!(@of $name ($op.$name) Write true)) };
    (@of $name:ident $tensor:tt $access:ident $is_visible_prefix:tt) => {
        $crate::step::ops::operation::Operand {
            name: stringify!($name),
            tensor: $tensor,
            access: $crate::step::ops::operation::Access::$access,
            is_visible_prefix: $is_visible_prefix,
        }
    };

    (@place $op:ident maybe_read $name:ident) => { $op.$name.as_mut() };
    (@place $op:ident $access:ident $name:ident) => { Some(&mut $op.$name) };

    (
        $(#[$doc:meta])*
        $op:ident {
            $($(#[$operand_doc:meta])* $access:ident $operand:ident,)*
            $(; $($(#[$field_doc:meta])* $field:ident: $type:ty,)*)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $op {
            $($(#[$operand_doc])* pub $operand: operation!(@type $access),)*
            $($($(#[$field_doc])* pub $field: $type,)*)?
        }

        impl $crate::step::ops::operation::Operands for $op {
            fn operands(&self) -> $crate::step::ops::operation::OperandList<$crate::step::ops::operation::Operand> {
                let operands = [$(operation!(@operand self $access $operand),)*];
                operands.into_iter().flatten().collect()
            }

            fn operands_mut(&mut self) -> $crate::step::ops::operation::OperandList<&mut $crate::step::tensor::TensorId> {
                let operands = [$(operation!(@place self $access $operand),)*];
                operands.into_iter().flatten().collect()
            }
        }
    };
}
