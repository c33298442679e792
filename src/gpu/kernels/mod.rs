//! One file for each operation: what its shader is bound to, its constants and its grid. No arithmetic.

mod adamw;
mod attention;
mod attention_key_value_grad;
mod attention_query_grad;
mod bias_grad;
mod clip;
mod cross_entropy;
mod embedding;
mod embedding_grad;
mod glu;
mod glu_grad;
mod linear;
mod linear_grad;
mod linear_weight_grad;
mod log_sum_exp;
mod loss;
mod rms_norm;
mod rms_norm_grad;
mod rms_norm_weight_grad;
mod rope;
mod square_sum;
mod zero;

use super::launch::Launch;
use super::tuning::Tuning;
use crate::step::{Op, Program, Slice, TensorId};

/// How an operation of a program is put on a device of that class.
pub fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    match op {
        Op::Zero { .. } => zero::launch(program, op),
        Op::Embedding { .. } => embedding::launch(program, op),
        Op::EmbeddingGrad { .. } => embedding_grad::launch(program, op),
        Op::RmsNorm { .. } => rms_norm::launch(program, op, tuning),
        Op::RmsNormGrad { .. } => rms_norm_grad::launch(program, op, tuning),
        Op::RmsNormWeightGrad { .. } => rms_norm_weight_grad::launch(program, op, tuning),
        Op::Linear { .. } => linear::launch(program, op, tuning),
        Op::LinearGrad { .. } => linear_grad::launch(program, op, tuning),
        Op::LinearWeightGrad { .. } => linear_weight_grad::launch(program, op, tuning),
        Op::BiasGrad { .. } => bias_grad::launch(program, op, tuning),
        Op::Move { .. } => unreachable!("what is copied needs no kernel"),
        Op::Rope { .. } => rope::launch(program, op),
        Op::Attention { .. } => attention::launch(program, op, tuning),
        Op::AttentionQueryGrad { .. } => attention_query_grad::launch(program, op, tuning),
        Op::AttentionKeyValueGrad { .. } => attention_key_value_grad::launch(program, op, tuning),
        Op::Glu { .. } => glu::launch(program, op),
        Op::GluGrad { .. } => glu_grad::launch(program, op),
        Op::LogSumExp { .. } => log_sum_exp::launch(program, op, tuning),
        Op::CrossEntropy { .. } => cross_entropy::launch(program, op),
        Op::Loss { .. } => loss::launch(program, op, tuning),
        Op::SquareSum { .. } => square_sum::launch(program, op, tuning),
        Op::Clip { .. } => clip::launch(program, op, tuning),
        Op::AdamW { .. } => adamw::launch(program, op),
    }
}

/// Groups of four rows of a matrix that are at work.
fn slice_vec4s(slice: Slice) -> u32 {
    assert!(slice.row.is_multiple_of(4) && slice.col.is_multiple_of(4) && slice.rows.is_multiple_of(4), "{slice:?}");
    slice.rows / 4
}

/// Groups of four columns of a tensor.
fn vec4s(program: &Program, id: TensorId) -> u32 {
    let tensor = program.tensor(id);
    assert!(tensor.cols.is_multiple_of(4), "{} has {} columns", tensor.name, tensor.cols);
    tensor.cols / 4
}

/// Groups of four elements of a tensor.
fn all_vec4s(program: &Program, id: TensorId) -> u64 {
    let len = program.tensor(id).elements();
    assert!(len.is_multiple_of(4) && u32::try_from(len / 4).is_ok(), "{} has {len} elements", program.tensor(id).name);
    len / 4
}
