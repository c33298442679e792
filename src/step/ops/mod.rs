//! The operations of a step, one file each. Files of the same stem in `shaders/`, `gpu/kernels/`, `reference/` and `tests/ops/` belong to
//! an operation.
//!
//! A new operation needs these five files and a line in [`for_each_op!`](crate::for_each_op); the compiler reports what is missing.

#[macro_use]
pub(super) mod operation;
mod slices;

use super::tensor::TensorId;
pub use operation::{Access, Fusion, Operand, OperandList, Operands, Operation, Sizes};
pub use slices::{NormGroups, RowSlice, VocabRange};

/// Calls a macro with the list of all operations: the name of the struct and the stem of its files.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_op {
    ($callback:ident) => {
        $callback! {
            Zero zero,
            Embedding embedding,
            EmbeddingGrad embedding_grad,
            RmsNorm rms_norm,
            RmsNormGrad rms_norm_grad,
            RmsNormWeightGrad rms_norm_weight_grad,
            Linear linear,
            LinearGrad linear_grad,
            LinearWeightGrad linear_weight_grad,
            BiasGrad bias_grad,
            CopyRows copy_rows,
            HostCopy host_copy,
            Send send,
            Receive receive,
            Rope rope,
            Attention attention,
            DecodeAttention decode_attention,
            AttentionQueryGrad attention_query_grad,
            AttentionKeyValueGrad attention_key_value_grad,
            Glu glu,
            GluGrad glu_grad,
            LogSumExp log_sum_exp,
            CrossEntropy cross_entropy,
            Loss loss,
            Dpo dpo,
            Grpo grpo,
            Sample sample,
            SquareSum square_sum,
            Clip clip,
            AdamW adamw,
        }
    };
}

macro_rules! list {
    ($($name:ident $stem:ident,)*) => {
        $(mod $stem;)*
        $(pub use $stem::$name;)*

        /// An operation on named tensors. The letters of shapes are explained in the crate's documentation.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs, reason = "documented at the struct of the same name")]
        pub enum Op { $($name($name),)* }

        /// The kind of an operation, without its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "documented at the struct of the same name")]
        pub enum OpKind { $($name,)* }

        impl OpKind {
            /// All kinds.
            pub const ALL: &'static [OpKind] = &[$(OpKind::$name,)*];

            /// The stem of its files, which is also its displayed name.
            pub const fn stem(self) -> &'static str {
                match self { $(OpKind::$name => stringify!($stem),)* }
            }
        }

        impl Op {
            /// Its kind.
            pub const fn kind(&self) -> OpKind {
                match self { $(Op::$name(_) => OpKind::$name,)* }
            }

            fn inner(&self) -> &dyn Operation {
                match self { $(Op::$name(op) => op,)* }
            }

            fn inner_mut(&mut self) -> &mut dyn Operation {
                match self { $(Op::$name(op) => op,)* }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}

for_each_op!(list);

impl OpKind {
    /// Have operations of this kind a kernel? Copies to and from the host and messages have none.
    pub const fn has_kernel(self) -> bool {
        !matches!(self, OpKind::HostCopy | OpKind::Send | OpKind::Receive)
    }

    /// Do operations of these kinds run beside one another in a dispatch? Those of one kind do; the gradient of a weight with that of the
    /// input that it multiplies, as both read the gradient of the output; and projections with a rotation that goes on with one of them.
    fn is_sibling_of(self, other: OpKind) -> bool {
        let family = |kind| match kind {
            OpKind::LinearGrad => OpKind::LinearWeightGrad,
            OpKind::RmsNormGrad => OpKind::RmsNormWeightGrad,
            OpKind::Rope => OpKind::Linear,
            _ => kind,
        };
        family(self) == family(other)
    }
}

impl Op {
    /// Its operands: every tensor that it touches.
    pub fn operands(&self) -> OperandList<Operand> {
        self.inner().operands()
    }

    /// The ids of the operands, for replacement.
    pub(super) fn operands_mut(&mut self) -> OperandList<&mut TensorId> {
        self.inner_mut().operands_mut()
    }

    /// The tensors that it writes. It may read them as well.
    pub fn written(&self) -> impl Iterator<Item = TensorId> {
        self.operands().into_iter().filter(Operand::is_written).map(|operand| operand.tensor)
    }

    /// Does it touch that tensor?
    pub fn touches(&self, id: TensorId) -> bool {
        self.operands().iter().any(|operand| operand.tensor == id)
    }

    /// Its floating-point operations for one chunk; a multiply-add counts as two.
    pub fn flops(&self, sizes: &Sizes) -> u64 {
        self.inner().flops(sizes)
    }

    /// The sliding window in tokens, the query included. `None` unless it is an attention operation with a window.
    pub fn window(&self) -> Option<u32> {
        self.inner().window()
    }

    /// The rows that it reads of an operand, if these are neither those of the chunk nor what its queries see of the batch.
    pub(super) fn rows_read(&self, sizes: &Sizes, operand: &Operand) -> Option<u64> {
        self.inner().rows_read(sizes, operand.name)
    }

    /// How `later`, which comes after it but not necessarily directly, may share a dispatch with it.
    pub fn fusion_with(&self, later: &Op) -> Option<Fusion> {
        if later.inner().continues().is_some_and(|tensor| self.is_continued_by(later, tensor)) {
            return Some(Fusion::After);
        }
        let are_siblings = self.kind().is_sibling_of(later.kind()) && self.has_siblings() && later.has_siblings();
        let is_apart = self.writes_own_part() || self.is_independent_of(later);
        (are_siblings && is_apart).then_some(Fusion::Beside)
    }

    /// Has it a kernel? Copies to and from the host and messages have none.
    pub const fn has_kernel(&self) -> bool {
        self.kind().has_kernel()
    }

    /// Does it compute activations, rather than gradients?
    pub(super) fn computes_activations(&self) -> bool {
        matches!(self, Op::Embedding(_) | Op::Linear(_) | Op::RmsNorm(_))
    }

    /// May operations of its kind stand beside one another in a dispatch?
    pub(super) fn has_siblings(&self) -> bool {
        self.inner().has_siblings()
    }

    /// Does it write its own part of a tensor that others of its kind write, too?
    pub(super) fn writes_own_part(&self) -> bool {
        self.inner().writes_own_part()
    }

    /// Can `later` go on with what each workgroup has just written of the tensor? Nothing else may tie the two.
    fn is_continued_by(&self, later: &Op, tensor: TensorId) -> bool {
        let kinds = [(OpKind::LinearGrad, OpKind::LinearGrad), (OpKind::LinearGrad, OpKind::GluGrad), (OpKind::Linear, OpKind::Rope)];
        let others = |op: &Op| op.written().filter(|&id| id != tensor).collect::<Vec<_>>();
        kinds.contains(&(self.kind(), later.kind()))
            && self.written().any(|id| id == tensor)
            && others(self).into_iter().all(|id| !later.touches(id))
            && others(later).into_iter().all(|id| !self.touches(id))
    }

    /// Does neither operation touch what the other writes?
    fn is_independent_of(&self, other: &Op) -> bool {
        self.written().all(|id| !other.touches(id)) && other.written().all(|id| !self.touches(id))
    }
}
