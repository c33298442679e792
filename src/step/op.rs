//! The operations that a step is made of. Each has one stem: its file in `shaders/`, `gpu/kernels/` and `reference/`.

use super::TensorId;

/// Which rows of a matrix are at work, and where what they yield stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first row, in the tensor that holds it.
    pub row: u32,
    /// The column of what that row yields.
    pub col: u32,
    /// Rows.
    pub rows: u32,
}

/// How a row is normed: in so many groups of so many elements, padding left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Groups of a row.
    pub count: u32,
    /// Elements of a group.
    pub size: u32,
}

/// A run of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The first word.
    pub first: u32,
    /// Words.
    pub count: u32,
}

/// Writes the operations once; from the list come [`Op`], [`OpKind`], the stems and the operands of each.
macro_rules! ops {
    ($(
        $(#[$doc:meta])*
        $name:ident $stem:literal { $($field:ident),* $(; optional $($maybe:ident),+)? $(; with $($extra:ident: $kind:ty),+)? }
    )*) => {
        /// One operation on named tensors. Shapes are in the letters of the crate's front page.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the fields are the names in the formula above them")]
        pub enum Op {
            $($(#[$doc])* $name { $($field: TensorId,)* $($($maybe: Option<TensorId>,)+)? $($($extra: $kind,)+)? },)*
        }

        /// What an operation is, without its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "documented at Op")]
        pub enum OpKind { $($name,)* }

        impl OpKind {
            /// Every kind.
            pub const ALL: &'static [OpKind] = &[$(OpKind::$name,)*];

            /// The stem of its files, and its name for people.
            pub const fn stem(self) -> &'static str {
                match self { $(OpKind::$name => $stem,)* }
            }
        }

        impl Op {
            /// What it is.
            pub const fn kind(&self) -> OpKind {
                match self { $(Op::$name { .. } => OpKind::$name,)* }
            }

            /// Every tensor that it touches, by the name of the operand.
            pub fn operands(&self) -> Vec<(&'static str, TensorId)> {
                match self {
                    $(Op::$name { $($field,)* $($($maybe,)+)? .. } => {
                        #[allow(unused_mut, reason = "most operations have no optional operand")]
                        let mut operands = vec![$((stringify!($field), *$field),)*];
                        $($(operands.extend($maybe.map(|id| (stringify!($maybe), id)));)+)?
                        operands
                    })*
                }
            }

            /// The same, to be changed.
            pub(super) fn operands_mut(&mut self) -> Vec<&mut TensorId> {
                match self {
                    $(Op::$name { $($field,)* $($($maybe,)+)? .. } => {
                        #[allow(unused_mut, reason = "most operations have no optional operand")]
                        let mut operands = vec![$($field,)*];
                        $($(operands.extend($maybe.as_mut());)+)?
                        operands
                    })*
                }
            }
        }
    };
}

impl Op {
    /// Tokens that a query sees at most, itself among them, if the operation is one of attention and has a window.
    pub fn window(&self) -> Option<u32> {
        match *self {
            Op::Attention { window, .. } | Op::AttentionQueryGrad { window, .. } | Op::AttentionKeyValueGrad { window, .. } => window,
            _ => None,
        }
    }

    /// The tensors that it writes, some of which it may read before.
    pub fn written(&self) -> impl Iterator<Item = TensorId> {
        let names = self.kind().writes();
        self.operands().into_iter().filter(move |(name, _)| names.contains(name)).map(|(_, id)| id)
    }

    /// Does it touch that tensor?
    pub fn touches(&self, id: TensorId) -> bool {
        self.operands().iter().any(|&(_, operand)| operand == id)
    }
}

impl OpKind {
    /// The operands that it writes.
    pub const fn writes(self) -> &'static [&'static str] {
        match self {
            OpKind::Zero | OpKind::Embedding | OpKind::Move | OpKind::Linear | OpKind::Glu => &["out"],
            OpKind::RmsNorm => &["out", "rstd"],
            OpKind::RmsNormGrad | OpKind::LinearGrad => &["d_x"],
            OpKind::EmbeddingGrad | OpKind::RmsNormWeightGrad | OpKind::LinearWeightGrad => &["d_weight"],
            OpKind::BiasGrad => &["d_bias"],
            OpKind::Rope => &["x"],
            OpKind::Attention => &["out", "stats"],
            OpKind::AttentionQueryGrad => &["stats", "d_q"],
            OpKind::AttentionKeyValueGrad => &["d_k", "d_v"],
            OpKind::GluGrad => &["gate", "up"],
            OpKind::LogSumExp => &["stats"],
            OpKind::CrossEntropy => &["logits", "log_probs"],
            OpKind::Loss | OpKind::Clip => &["metrics"],
            OpKind::SquareSum => &["partials"],
            OpKind::AdamW => &["weight", "moment1", "moment2"],
        }
    }
}

ops! {
    /// `out = 0`: the chunk's rows, or all if rows are no tokens.
    Zero "zero" { out }
    /// `out[i] = weight[input_ids[i]]`, scaled as the family has it, for the ids whose rows `weight` holds from `first_id` on.
    Embedding "embedding" { input_ids, weight, out; with first_id: u32 }
    /// `d_weight[v - first_id] += Σ d_out[i]`, scaled likewise, over the tokens i whose id is v, from the last to the first.
    EmbeddingGrad "embedding_grad" { d_out, token_order, token_start, d_weight; with first_id: u32 }
    /// `rstd[i] = 1 / √(mean(x[i]²) + ε)`, `out[i] = x[i] · rstd[i] · weight (+ residual[i])`, in each group of a row apart.
    RmsNorm "rms_norm" { x, weight, out, rstd; optional residual; with groups: Groups }
    /// The gradient of `x`: added to `d_x` if `x` is given. Otherwise `d_x` holds `x` and is overwritten.
    RmsNormGrad "rms_norm_grad" { rstd, weight, d_out, d_x; optional x; with groups: Groups }
    /// `d_weight += Σ d_out[i] · x[i] · rstd[i]` over tokens and groups.
    RmsNormWeightGrad "rms_norm_weight_grad" { x, rstd, d_out, d_weight; with groups: Groups }
    /// `out[i] (+)= scale · weight · x[i] (+ bias) (+ residual[i])`.
    Linear "linear" { x, weight, out; optional bias, residual; with slice: Slice, scale: f64, accumulate: bool }
    /// `d_x[i] (+)= scale · weightᵀ · d_out[i]`.
    LinearGrad "linear_grad" { d_out, weight, d_x; with slice: Slice, scale: f64, accumulate: bool }
    /// `d_weight += Σ d_out[i] ⊗ x[i]` over tokens.
    LinearWeightGrad "linear_weight_grad" { d_out, x, d_weight; with slice: Slice }
    /// `d_bias += Σ d_out[i]` over tokens.
    BiasGrad "bias_grad" { d_out, d_bias }
    /// `out[i] = x[i]`, where one of the two lies on the host. It is a copy, and has no shader.
    Move "move" { x, out }
    /// Turns the pairs (e, e + E/2) of every head of `x` by the angle of its position; backwards if `inverse`.
    Rope "rope" { x, segment_start, table; with is_local: bool, inverse: bool }
    /// `out = softmax(scale · q·kᵀ)·v` over the visible keys; `stats[i, h].x` = the log of the sum of exponentials.
    Attention "attention" { q, k, v, segment_start, out, stats; with window: Option<u32> }
    /// The gradient of `q`; `stats[i, h].y` = `d_out · out` of the row, for the operation below.
    AttentionQueryGrad "attention_query_grad" { q, k, v, segment_start, out, d_out, stats, d_q; with window: Option<u32> }
    /// What the chunk's queries add to the gradients of all keys and values that they see.
    AttentionKeyValueGrad "attention_key_value_grad" { q, k, v, segment_start, d_out, stats, d_k, d_v; with window: Option<u32> }
    /// `out = act(gate) · up`.
    Glu "glu" { gate, up, out }
    /// `gate` and `up` are overwritten by their gradients.
    GluGrad "glu_grad" { d_out, gate, up }
    /// Goes on with `stats[i]` = the largest logit, the sum of exponentials less that, and the label's logit, over a block of words.
    LogSumExp "log_sum_exp" { logits, labels, stats; with words: Words }
    /// `log_probs[i]` = the label's log-probability; the logits are overwritten by `loss_weight[i] · (softmax − onehot)`.
    CrossEntropy "cross_entropy" { logits, labels, loss_weight, stats, log_probs; with words: Words }
    /// `metrics.loss += −Σ loss_weight[i] · log_probs[i]`.
    Loss "loss" { log_probs, loss_weight, metrics }
    /// `partials[slot] = ` sums of squares of parts of `x`.
    SquareSum "square_sum" { x, partials; with slot: u32 }
    /// The gradient's norm, the factor that clips it, and whether it is finite, into `metrics`.
    Clip "clip" { partials, settings, metrics }
    /// One step of AdamW on `weight` with the clipped gradient; nothing if the gradient is not finite.
    AdamW "adamw" { gradient, settings, metrics, weight, moment1, moment2; with decay: bool }
}
