//! What every operation is asked: which tensors it reads and writes, and what it costs.

use crate::model::Config;
use crate::step::batch::BatchShape;
use crate::step::chunk::Chunk;
use crate::step::tensor::{Tensor, TensorId};

/// What an operation does with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads the tensor.
    Read,
    /// It writes the tensor, and may read it before.
    Write,
}

/// A tensor of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The field of the operation's struct.
    pub name: &'static str,
    /// The tensor.
    pub tensor: TensorId,
    /// Whether it is read or written.
    pub access: Access,
    /// Does the operation touch the rows of all tokens that the chunk's queries see, and not the chunk's own rows alone?
    pub is_visible_prefix: bool,
}

impl Operand {
    /// Is the tensor written?
    pub fn is_written(&self) -> bool {
        self.access == Access::Write
    }
}

/// The tensors of an operation. The macro `operation!` writes it.
pub trait Operands {
    /// Every tensor that the operation touches.
    fn operands(&self) -> Vec<Operand>;

    /// The same tensors, to be replaced by others.
    fn operands_mut(&mut self) -> Vec<&mut TensorId>;
}

/// An operation on named tensors.
pub trait Operation: Operands {
    /// Floating-point operations for one chunk; a multiply-add counts as two.
    fn flops(&self, sizes: &Sizes) -> u64;

    /// Tokens that a query sees at most, itself among them, if it is an operation of attention with a sliding window.
    fn window(&self) -> Option<u32> {
        None
    }
}

/// The sizes that the cost of an operation depends on.
#[derive(Clone, Copy)]
pub struct Sizes<'a> {
    /// The model's sizes.
    pub config: &'a Config,
    /// The sequences of the batch.
    pub batch: &'a BatchShape,
    /// Every tensor of the program.
    pub tensors: &'a [Tensor],
    /// The tokens at work.
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

    /// Elements of a row.
    pub fn cols(&self, id: TensorId) -> u64 {
        u64::from(self.tensor(id).cols)
    }

    /// Multiply-adds, as two operations each, of the chunk's rows with so many rows of a matrix of that many columns.
    pub fn matmul(&self, rows: u32, cols: u64) -> u64 {
        2 * u64::from(self.chunk.count) * u64::from(rows) * cols
    }

    /// Pairs of a query of the chunk and a key that it sees, in all heads.
    pub fn attention_pairs(&self, window: Option<u32>) -> u64 {
        self.batch.visible_pairs(self.chunk.start..self.chunk.end(), window) * u64::from(self.config.num_attention_heads)
    }

    /// E.
    pub fn head_dim(&self) -> u64 {
        u64::from(self.config.head_dim)
    }

    fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }
}

/// Declares an operation: a struct with a field for each operand, marked by what is done with it, and behind a semicolon what else it
/// is told.
///
/// The marks are `read`, `write` (it may be read before), `read_visible` and `write_visible` (the rows of every token that the chunk's
/// queries see), and `maybe_read` (an operand that not every use has).
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
            fn operands(&self) -> Vec<$crate::step::ops::operation::Operand> {
                let operands = [$(operation!(@operand self $access $operand),)*];
                operands.into_iter().flatten().collect()
            }

            fn operands_mut(&mut self) -> Vec<&mut $crate::step::tensor::TensorId> {
                let operands = [$(operation!(@place self $access $operand),)*];
                operands.into_iter().flatten().collect()
            }
        }
    };
}
