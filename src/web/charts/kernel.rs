//! The kernel of an operation: its shader with the tile sizes of a device, and what it is dispatched with for a chunk.

use crate::gpu::{BindingAccess, Dispatch, FusedDispatch, Part, Tuning, dispatch};
use crate::step::{OpInstance, Program};

/// A kernel at work.
#[derive(Clone, Debug)]
pub struct KernelAtWork {
    dispatch: Dispatch,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
    /// Threads of a workgroup.
    pub workgroup_size: u32,
    /// What it reads and writes, in the order of the bindings.
    pub bindings: Vec<Binding>,
}

/// A tensor that a kernel reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its number in the operation's own dispatch.
    pub number: usize,
    /// The shader's name for it.
    pub variable: &'static str,
    /// The tensor.
    pub tensor: String,
    /// Rows and columns, padding included.
    pub shape: [u32; 2],
    /// Does the operation write it?
    pub is_written: bool,
    /// How it is bound.
    pub access: BindingAccess,
}

impl KernelAtWork {
    /// The kernel of an operation for a chunk, alone. `None` for host copies, which have no kernel.
    pub fn of(program: &Program, at: OpInstance, tuning: &Tuning) -> Option<Self> {
        let op = program.op(at.block, at.node);
        let chunk_len = program.blocks[at.block].chunk_order.chunk_len(program.tokens());
        let dispatch = dispatch(program, op, tuning, chunk_len)?;
        let operands = op.operands();
        let bindings = dispatch.bindings.iter().enumerate().map(|(index, &(variable, access, id))| {
            let tensor = program.tensor(id);
            Binding {
                // Before it come the uniforms of the operation and of the chunk.
                number: 2 + index,
                variable,
                tensor: tensor.name.clone(),
                shape: [tensor.row_count, tensor.cols],
                is_written: operands.iter().any(|operand| operand.tensor == id && operand.is_written()),
                access,
            }
        });
        Some(KernelAtWork {
            workgroups: dispatch.grid.workgroups(&Part::whole(at.chunk)),
            workgroup_size: dispatch.shader.workgroup_size(),
            bindings: bindings.collect(),
            dispatch,
        })
    }

    /// Its shader.
    pub fn shader(&self) -> &crate::gpu::Shader {
        &self.dispatch.shader
    }

    /// All of its workgroups.
    pub fn workgroup_count(&self) -> u64 {
        self.workgroups.into_iter().map(u64::from).product()
    }

    /// All of its threads.
    pub fn threads(&self) -> u64 {
        self.workgroup_count() * u64::from(self.workgroup_size)
    }

    /// What the driver is given, with lines that are indented by their braces.
    pub fn wgsl(&self) -> String {
        indented(&FusedDispatch::alone(&self.dispatch).source.wgsl())
    }
}

impl PartialEq for KernelAtWork {
    fn eq(&self, other: &Self) -> bool {
        (self.shader(), self.workgroups, &self.bindings) == (other.shader(), other.workgroups, &other.bindings)
    }
}

fn indented(wgsl: &str) -> String {
    let mut depth: usize = 0;
    let mut out = String::with_capacity(wgsl.len() * 5 / 4);
    for line in wgsl.lines() {
        let closing = line.chars().take_while(|&c| c == '}').count();
        out += &"  ".repeat(depth.saturating_sub(closing));
        out.extend([line, "\n"]);
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::formula::formula;
    use super::super::planned::tests::each;
    use super::*;
    use crate::step::OpKind;

    const TUNINGS: [Tuning; 2] = [Tuning::GPU, Tuning::SMALL_CPU];

    #[test]
    fn every_operation_has_a_kernel_or_is_a_copy() {
        for planned in each(300) {
            let program = planned.program();
            for number in 0..program.instance_count() {
                let at = program.instance(number);
                let op = program.op(at.block, at.node);
                assert!(!formula(op).is_empty());
                for tuning in TUNINGS {
                    let Some(kernel) = KernelAtWork::of(program, at, &tuning) else {
                        assert!(!op.has_kernel());
                        continue;
                    };
                    assert!(kernel.threads() > 0 && kernel.bindings.len() <= 8);
                    assert!(kernel.bindings.iter().any(|binding| binding.is_written));
                    let is_read_only = |binding: &Binding| binding.access == BindingAccess::Read;
                    assert!(kernel.bindings.iter().all(|binding| !(binding.is_written && is_read_only(binding))), "{op:?}");
                }
            }
        }
    }

    #[test]
    fn the_listing_has_the_constants_of_the_tuning() {
        let planned = &each(300)[2];
        let program = planned.program();
        let linear = (0..program.instance_count()).map(|number| program.instance(number));
        let at = linear.into_iter().find(|at| program.op(at.block, at.node).kind() == OpKind::Linear).unwrap();
        for tuning in TUNINGS {
            let kernel = KernelAtWork::of(program, at, &tuning).unwrap();
            let named = kernel.shader().named();
            let value = |name| named.constants.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
            if tuning == Tuning::GPU {
                assert_eq!(kernel.shader().file(), "linear_tiled");
                assert_eq!(value("ROW_THREADS").zip(value("COL_THREADS")).map(|(rows, cols)| rows * cols), Some(kernel.workgroup_size));
            } else {
                assert_eq!((value("TOKENS"), value("ROW_VEC4S")), (Some(tuning.linear.tokens), None));
                assert_eq!((&named.conditions[..], kernel.workgroup_size), (&["DIRECT"][..], tuning.linear.workgroup_size()));
            }
            assert_eq!(kernel.workgroups[0], at.chunk.count.div_ceil(64));
            let code = |text: &str| text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
            assert_eq!(code(&kernel.wgsl()), code(&FusedDispatch::alone(&kernel.dispatch).source.wgsl()));
        }
    }

    #[test]
    fn braces_indent() {
        assert_eq!(indented("f {\nif x {\na\n} else {\nb\n}\n}}"), "f {\n  if x {\n    a\n  } else {\n    b\n  }\n}}\n");
    }
}
