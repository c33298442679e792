//! Every operation, and a whole [`Program`], in f64 on the CPU: plain loops that read like the formulas in [`Op`].
//!
//! It is what kernels and whole steps are measured against, so it shares nothing with the code for devices but the
//! program and the layout of its tensors. There is a file for every operation, named by its stem.

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
mod heads;
mod linear;
mod linear_grad;
mod linear_weight_grad;
mod log_sum_exp;
mod loss;
mod r#move;
mod rms_norm;
mod rms_norm_grad;
mod rms_norm_weight_grad;
mod rope;
mod rows;
mod square_sum;
mod tensors;
mod zero;

use std::ops::RangeInclusive;

use crate::model::{Config, ParameterId, Weights};
use crate::step::{Batch, Chunk, Element, Op, Pass, Program, TensorId, Turn};
use tensors::Tensors;

/// A program with its numbers, ready to run.
pub struct Executor {
    program: Program,
    tensors: Tensors,
}

/// What an operation works with: the numbers, the model's sizes, and the chunk at hand.
struct Scope<'a> {
    tensors: &'a mut Tensors,
    config: &'a Config,
    chunk: Chunk,
}

impl Executor {
    /// Makes room for every tensor of the program and writes its constants.
    ///
    /// What shares memory on a device is NaN until an operation writes it, so that nothing can be read before; the rest
    /// is zero, as on a device.
    pub fn new(program: &Program) -> Self {
        let mut executor = Executor { program: program.clone(), tensors: Tensors::new(program) };
        for (id, bytes) in program.constants() {
            executor.write(id, &bytes);
        }
        executor
    }

    /// Writes a tensor from the bytes that a device would get, row after row, padding included.
    ///
    /// # Panics
    /// If there are more bytes than the tensor has.
    pub fn write(&mut self, id: TensorId, bytes: &[u8]) {
        let tensor = self.program.tensor(id);
        let values: Vec<f64> = match tensor.element {
            Element::Float(precision) => precision.decode(bytes, tensor.cols).into_iter().map(f64::from).collect(),
            Element::U32 => bytemuck::pod_collect_to_vec::<u8, u32>(bytes).into_iter().map(f64::from).collect(),
        };
        self.write_f64(id, &values);
    }

    /// Writes a tensor from its first element on, in the layout of the device.
    ///
    /// # Panics
    /// If there are more values than the tensor has.
    pub fn write_f64(&mut self, id: TensorId, values: &[f64]) {
        self.tensors.all_mut(id)[..values.len()].copy_from_slice(values);
    }

    /// A tensor's values, in the layout of the device: row after row, padding included.
    pub fn read(&self, id: TensorId) -> &[f64] {
        self.tensors.all(id)
    }

    /// Writes all parameters' values.
    pub fn load_weights(&mut self, weights: &Weights) {
        let program = self.program.clone();
        for (id, parameter) in program.parameters.iter() {
            for part in program.weight(id) {
                let rows = parameter.file_rows_of(part.parameter_rows());
                let width = parameter.cols.size() as usize;
                let values = &weights.get(&parameter.name)[rows.start as usize * width..rows.end as usize * width];
                self.write(part.tensor, &parameter.stored(values, part.parameter_rows()));
            }
        }
    }

    /// Writes a batch.
    pub fn load_batch(&mut self, batch: &Batch) {
        for (id, bytes) in self.program.inputs(batch) {
            self.write(id, &bytes);
        }
    }

    /// A parameter's gradient, in the layout of a file.
    ///
    /// # Panics
    /// If the parameter does not learn, or the program computes no gradients.
    pub fn gradient(&self, id: ParameterId) -> Vec<f64> {
        let padded: Vec<f64> = self.program.gradient(id).iter().flat_map(|part| self.read(part.tensor)).copied().collect();
        self.program.parameters.get(id).unpad(&padded)
    }

    /// Runs some passes of the step.
    pub fn run(&mut self, passes: RangeInclusive<Pass>) {
        let turns: Vec<Turn> = self.program.turns(self.program.span(passes)).collect();
        for turn in turns {
            let mut scope = Scope { tensors: &mut self.tensors, config: &self.program.config, chunk: turn.chunk };
            scope.run(&self.program.blocks[turn.block].nodes[turn.node].op);
        }
    }

    /// Runs a block for tokens that need not be a chunk of its walk, as generation does.
    pub fn run_chunk(&mut self, block: usize, chunk: Chunk) {
        let mut scope = Scope { tensors: &mut self.tensors, config: &self.program.config, chunk };
        for node in &self.program.blocks[block].nodes {
            scope.run(&node.op);
        }
    }
}

impl Scope<'_> {
    fn run(&mut self, op: &Op) {
        match *op {
            Op::Zero { out } => self.zero(out),
            Op::Embedding { input_ids, weight, out, first_id } => self.embedding(input_ids, weight, out, first_id),
            Op::Move { x, out } => self.move_rows(x, out),
            Op::EmbeddingGrad { d_out, token_order, token_start, d_weight, first_id } => {
                self.embedding_grad(d_out, token_order, token_start, d_weight, first_id);
            }
            Op::RmsNorm { x, weight, out, rstd, residual, groups } => self.rms_norm([x, weight, out, rstd], residual, groups),
            Op::RmsNormGrad { rstd, weight, d_out, d_x, x, groups } => self.rms_norm_grad([rstd, weight, d_out, d_x], x, groups),
            Op::RmsNormWeightGrad { x, rstd, d_out, d_weight, groups } => self.rms_norm_weight_grad([x, rstd, d_out, d_weight], groups),
            Op::Linear { x, weight, out, bias, residual, slice, scale, accumulate } => {
                self.linear([x, weight, out], [bias, residual], slice, scale, accumulate);
            }
            Op::LinearGrad { d_out, weight, d_x, slice, scale, accumulate } => {
                self.linear_grad([d_out, weight, d_x], slice, scale, accumulate);
            }
            Op::LinearWeightGrad { d_out, x, d_weight, slice } => self.linear_weight_grad(d_out, x, d_weight, slice),
            Op::BiasGrad { d_out, d_bias } => self.bias_grad(d_out, d_bias),
            Op::Rope { x, segment_start, is_local, inverse, .. } => self.rope(x, segment_start, is_local, inverse),
            Op::Attention { q, k, v, segment_start, out, stats, window } => {
                self.attention([q, k, v, segment_start], out, stats, window);
            }
            Op::AttentionQueryGrad { q, k, v, segment_start, out, d_out, stats, d_q, window } => {
                self.attention_query_grad([q, k, v, segment_start], [out, d_out], stats, d_q, window);
            }
            Op::AttentionKeyValueGrad { q, k, v, segment_start, d_out, stats, d_k, d_v, window } => {
                self.attention_key_value_grad([q, k, v, segment_start], [d_out, stats], [d_k, d_v], window);
            }
            Op::Glu { gate, up, out } => self.glu(gate, up, out),
            Op::GluGrad { d_out, gate, up } => self.glu_grad(d_out, gate, up),
            Op::LogSumExp { logits, labels, stats, words } => self.log_sum_exp(logits, labels, stats, words),
            Op::CrossEntropy { logits, labels, loss_weight, stats, log_probs, words } => {
                self.cross_entropy([logits, labels, loss_weight, stats, log_probs], words);
            }
            Op::Loss { log_probs, loss_weight, metrics } => self.loss(log_probs, loss_weight, metrics),
            Op::SquareSum { x, partials, slot } => self.square_sum(x, partials, slot),
            Op::Clip { partials, settings, metrics } => self.clip(partials, settings, metrics),
            Op::AdamW { gradient, settings, metrics, weight, moment1, moment2, decay } => {
                self.adamw([gradient, settings, metrics, weight, moment1, moment2], decay);
            }
        }
    }
}
