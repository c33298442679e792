//! Every operation, and a whole [`Program`], in f64 on the CPU: plain loops that read like the formulas of [`ops`](crate::step::ops).
//!
//! It is what kernels and whole steps are measured against, so it shares nothing with the code for devices but the
//! program and the layout of its tensors. There is a file for every operation, named by its stem.

mod heads;
mod rows;
mod scope;
mod tensors;

use std::ops::RangeInclusive;

use crate::for_each_op;
use crate::model::{ParameterId, Weights};
use crate::step::{Batch, Chunk, Element, Op, OpInstance, Pass, Program, TensorId};
use scope::{Reference, Scope};
use tensors::Tensors;

/// A program with its numbers, ready to run.
pub struct Executor {
    program: Program,
    tensors: Tensors,
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
            Element::Float(dtype) => dtype.decode(bytes, tensor.cols).into_iter().map(f64::from).collect(),
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
            for slice in program.slices(id) {
                let rows = parameter.file_rows_of(slice.parameter_rows());
                let width = parameter.cols.size() as usize;
                let values = &weights.get(&parameter.name)[rows.start as usize * width..rows.end as usize * width];
                self.write(slice.value, &parameter.stored(values, slice.parameter_rows()));
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
    /// If the parameter is frozen, or the program computes no gradients.
    pub fn gradient(&self, id: ParameterId) -> Vec<f64> {
        let gradients = self.program.slices(id).iter().map(|slice| slice.gradient.expect("the parameter has a gradient"));
        let padded: Vec<f64> = gradients.flat_map(|gradient| self.read(gradient)).copied().collect();
        self.program.parameters.get(id).unpad(&padded)
    }

    /// Runs some passes of the step.
    pub fn run(&mut self, passes: RangeInclusive<Pass>) {
        let instances: Vec<OpInstance> = self.program.instances(self.program.span(passes)).collect();
        for OpInstance { block, chunk, node } in instances {
            let mut scope = Scope { tensors: &mut self.tensors, config: self.program.config(), chunk };
            run(self.program.op(block, node), &mut scope);
        }
    }

    /// Runs a block for tokens that need not be one of its chunks, as generation does.
    pub fn run_chunk(&mut self, block: usize, chunk: Chunk) {
        let mut scope = Scope { tensors: &mut self.tensors, config: self.program.config(), chunk };
        for node in &self.program.blocks[block].nodes {
            run(&node.op, &mut scope);
        }
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
