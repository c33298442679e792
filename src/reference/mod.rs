//! The reference implementation: every operation, and whole [`Program`]s, in f64 on the CPU, as plain loops that read like the formulas of
//! [`ops`](crate::step::ops).
//!
//! Kernels and whole steps are compared with it, so it shares nothing with the GPU code except the program and the layout of its tensors.
//! There is a file for every operation, named by its stem.

mod heads;
mod rows;
mod scope;
mod tensors;

use std::ops::RangeInclusive;

use crate::for_each_op;
use crate::model::{ParameterId, Weights};
use crate::step::{Batch, Chunk, Element, Op, OpInstance, Pass, Precision, Program, TensorId};
use scope::{Reference, Scope};
use tensors::Tensors;

/// A program with its tensors, ready to run.
pub struct Executor {
    program: Program,
    tensors: Tensors,
}

impl Executor {
    /// Allocates all tensors of the program and writes its constants.
    ///
    /// Tensors in the arena are NaN until an operation writes them, which reveals reads of unwritten memory. The others are zero, as on a
    /// device.
    pub fn new(program: &Program) -> Self {
        let mut executor = Executor { program: program.clone(), tensors: Tensors::new(program) };
        for (id, bytes) in program.constants() {
            executor.write(id, &bytes);
        }
        executor
    }

    /// Writes a tensor from bytes in the device's layout: row after row, padding included.
    ///
    /// # Panics
    /// If the bytes exceed the tensor.
    pub fn write(&mut self, id: TensorId, bytes: &[u8]) {
        let tensor = self.program.tensor(id);
        let values: Vec<f64> = match tensor.element {
            Element::Float(dtype) => dtype.decode(bytes, tensor.cols).into_iter().map(f64::from).collect(),
            Element::U32 => bytemuck::pod_collect_to_vec::<u8, u32>(bytes).into_iter().map(f64::from).collect(),
        };
        self.write_f64(id, &values);
    }

    /// Writes a tensor from its first element on, in the device's layout.
    ///
    /// # Panics
    /// If the values exceed the tensor.
    pub fn write_f64(&mut self, id: TensorId, values: &[f64]) {
        self.tensors.all_mut(id)[..values.len()].copy_from_slice(values);
    }

    /// The values of a tensor in the device's layout: row after row, padding included.
    pub fn read(&self, id: TensorId) -> &[f64] {
        self.tensors.all(id)
    }

    /// Writes the values of all parameters.
    pub fn load_weights(&mut self, weights: &Weights) {
        let program = self.program.clone();
        for (id, parameter) in program.parameters.iter() {
            for slice in program.slices(id) {
                let rows = parameter.file_rows_of(slice.parameter_rows());
                let width = parameter.cols.size() as usize;
                let values = &weights.get(&parameter.name)[rows.start as usize * width..rows.end as usize * width];
                self.write(slice.value, &parameter.stored(values, slice.parameter_rows()));
            }
        }
    }

    /// Writes the tensors of a batch.
    pub fn load_batch(&mut self, batch: &Batch) {
        for (id, bytes) in self.program.inputs(batch) {
            self.write(id, &bytes);
        }
    }

    /// The gradient of a parameter, without padding.
    ///
    /// # Panics
    /// If the parameter is frozen, or the program computes no gradients.
    pub fn gradient(&self, id: ParameterId) -> Vec<f64> {
        let gradients = self.program.slices(id).iter().map(|slice| slice.gradient.expect("the parameter has a gradient"));
        let padded: Vec<f64> = gradients.flat_map(|gradient| self.read(gradient)).copied().collect();
        self.program.parameters.get(id).unpad(&padded)
    }

    /// Runs consecutive passes of the step.
    pub fn run(&mut self, passes: RangeInclusive<Pass>) {
        let instances: Vec<OpInstance> = self.program.instances(self.program.span(passes)).collect();
        instances.into_iter().for_each(|instance| self.run_instance(instance));
    }

    /// Runs an operation instance.
    pub fn run_instance(&mut self, OpInstance { block, chunk, node }: OpInstance) {
        let mut scope = Scope { tensors: &mut self.tensors, config: self.program.config(), seq_len: self.program.batch.longest(), chunk };
        let op = self.program.op(block, node);
        run(op, &mut scope);
        op.written().filter(|&id| self.program.precision(op, id) != Precision::F32).for_each(|id| scope.round_to_bf16(id));
    }

    /// Runs a block for any range of tokens, as generation does.
    pub fn run_chunk(&mut self, block: usize, chunk: Chunk) {
        (0..self.program.blocks[block].nodes.len()).for_each(|node| self.run_instance(OpInstance { block, chunk, node }));
    }
}

macro_rules! run {
    ($($name:ident $stem:ident,)*) => {
        $(mod $stem;)*

        fn run(op: &Op, scope: &mut Scope<'_>) {
            match op { $(Op::$name(op) => op.run(scope),)* }
        }
    };
}

for_each_op!(run);
