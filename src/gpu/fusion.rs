//! Kernel fusion: one dispatch for several adjacent operations of one kind.
//!
//! Every dispatch has a fixed cost, and while its last workgroups run, the rest of the device is idle. There are two kinds of fusion:
//!
//! - *parallel*: each operation has its own workgroups along z; none may touch what another writes;
//! - *sequential*: each thread runs the operations one after the other; each adds to the sum of the one before.
//!
//! In both kinds every thread computes what it computes for the operation alone, in the same order, so results are bit-identical.

use super::dispatch::{BindingAccess, Dispatch, Grid};
use super::shader::{self, Shader};
use super::tuning::Tuning;
use crate::step::ops::Fusion;
use crate::step::{Op, TensorId};

/// Base WebGPU's `maxStorageBuffersPerShaderStage`.
const MAX_STORAGE_BUFFERS: usize = 8;
/// Constants that change what a kernel computes, but not the workgroup memory that fused operations share.
const OWN: [&str; 4] = ["ACCUMULATE", "BIAS", "RESIDUAL", "SCALED"];

/// A dispatch of one operation or of several fused ones.
#[derive(Clone, Debug)]
pub struct FusedDispatch {
    /// The kernel to compile.
    pub source: KernelSource,
    /// Bindings 2, 3, …: the name of the shaders' variable, its access mode, and the tensor. Operations that share a binding use the same
    /// name.
    pub bindings: Vec<(&'static str, BindingAccess, TensorId)>,
    /// The grid of the operation with the most workgroups.
    pub grid: Grid,
}

/// The source of a kernel: the shaders of its operations. It is also the key of the pipeline cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelSource {
    ops: Vec<FusedOp>,
    is_sequential: bool,
}

/// An operation of a fused dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FusedOp {
    shader: Shader,
    /// The name and the number of each of its bindings.
    slots: Vec<(&'static str, usize)>,
    /// Its workgroups along y.
    rows: u32,
}

impl FusedDispatch {
    /// The dispatch of an operation alone.
    pub fn alone(dispatch: &Dispatch) -> FusedDispatch {
        let source = KernelSource { ops: Vec::new(), is_sequential: false };
        let mut fused = FusedDispatch { source, bindings: Vec::new(), grid: dispatch.grid };
        fused.add(dispatch);
        fused
    }

    /// Fuses as many of the first operations of a run as possible: at least one.
    pub fn of(all: &[(&Op, &Dispatch)], tuning: &Tuning) -> FusedDispatch {
        let mut fused = FusedDispatch::alone(all[0].1);
        let (most, is_sequential) = match all[0].0.fusion() {
            Fusion::None => (1, false),
            Fusion::Parallel { .. } => (tuning.max_parallel_fused, false),
            Fusion::Sequential { .. } => (tuning.max_sequential_fused, true),
        };
        for count in 1..all.len().min(most as usize) {
            let next = all[count];
            let mut larger = fused.clone();
            larger.add(next.1);
            if !all[..count].iter().all(|&other| can_fuse(other, next)) || !larger.can_be_bound() {
                break;
            }
            fused = larger;
            fused.source.is_sequential = is_sequential;
        }
        fused
    }

    /// The number of operations, at least one.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Workgroups along z: one per parallel operation.
    pub fn layers(&self) -> u32 {
        if self.source.is_parallel() { self.len() as u32 } else { 1 }
    }

    fn add(&mut self, dispatch: &Dispatch) {
        let slot = |binding: &(&'static str, BindingAccess, TensorId)| {
            let index = self.bindings.iter().position(|bound| bound == binding).unwrap_or_else(|| {
                self.bindings.push(*binding);
                self.bindings.len() - 1
            });
            (binding.0, 2 + index)
        };
        let slots = dispatch.bindings.iter().map(slot).collect();
        self.source.ops.push(FusedOp { shader: dispatch.shader.clone(), slots, rows: dispatch.grid.rows() });
        self.grid = self.grid.larger(dispatch.grid);
    }

    /// Are there few enough bindings, each of another tensor?
    fn can_be_bound(&self) -> bool {
        let mut pairs = self.bindings.iter().enumerate().flat_map(|(i, a)| self.bindings[..i].iter().map(move |b| (a.2, b.2)));
        self.bindings.len() <= MAX_STORAGE_BUFFERS && pairs.all(|(a, b)| a != b)
    }
}

/// May two operations of a run share a dispatch?
fn can_fuse((first, dispatch): (&Op, &Dispatch), (second, other): (&Op, &Dispatch)) -> bool {
    let fits = match first.fusion() {
        Fusion::Sequential { .. } => dispatch.grid == other.grid,
        Fusion::Parallel { .. } | Fusion::None => dispatch.grid.is_along(other.grid),
    };
    fits && first.may_share(second) && share_threads(dispatch, other)
}

/// Have both the same workgroup size and, if they use workgroup memory, the same layout of it?
fn share_threads(a: &Dispatch, b: &Dispatch) -> bool {
    let [a, b] = [a, b].map(|dispatch| &dispatch.shader);
    let mut sizes = a.constants.iter().chain(&b.constants).map(|(name, _)| *name).filter(|name| !OWN.contains(name));
    let is_same = |name| a.constant(name) == b.constant(name);
    is_same("WORKGROUP_SIZE") && (a.constant("STAGED").is_none() && b.constant("STAGED").is_none() || sizes.all(is_same))
}

impl KernelSource {
    /// The number of operations, at least one.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Does it use subgroup operations?
    pub fn has_subgroups(&self) -> bool {
        self.ops[0].shader.constant("SUBGROUP").is_some()
    }

    /// Does it run several operations in parallel? Only then does its WGSL contain the workgroup counts of the operations.
    fn is_parallel(&self) -> bool {
        self.len() > 1 && !self.is_sequential
    }

    /// The key of the pipeline cache: equal for sources with the same WGSL.
    pub(super) fn key(&self) -> KernelSource {
        let mut key = self.clone();
        if !self.is_parallel() {
            key.ops.iter_mut().for_each(|op| op.rows = 0);
        }
        key
    }

    /// Its label on the device.
    pub fn label(&self) -> &'static str {
        self.ops[0].shader.kind.stem()
    }

    /// The complete WGSL: the shader of each operation, with names of its own, and a `main` that calls theirs.
    pub fn wgsl(&self) -> String {
        let mut out = shader::part("prelude", &shader::Constants::new());
        let [mut params, mut calls] = ["struct AllParams {", ""].map(String::from);
        let (parameter, argument) = match self.has_subgroups() {
            true => (", @builtin(subgroup_invocation_id) subgroup_invocation_id: u32", "subgroup_invocation_id"),
            false => ("", "0"),
        };
        let mut shared = Vec::new();
        for (i, op) in self.ops.iter().enumerate() {
            let expanded = op.expand(i);
            for text in expanded.shared {
                if !shared.contains(&text) {
                    out += &text;
                    shared.push(text);
                }
            }
            // Operations share workgroup variables, and bindings that several of them use.
            for line in expanded.text.lines() {
                let is_common = line.starts_with('@') || line.starts_with("var<");
                let variable = line.split_inclusive(": ").next().unwrap_or(line);
                if !(is_common && out.contains(variable)) {
                    out.extend([line, "\n"]);
                }
            }
            params += &format!("@align(256) @size(256) params_of{i}: Params_of{i},");
            let call = format!("main_of{i}(workgroup_id, num_workgroups, local_invocation_index, {argument});\n");
            calls += &match self.is_parallel() {
                false => call,
                true => format!("if workgroup_id.z == {i} && workgroup_id.y < {}u {{ {call} }}\n", op.rows),
            };
        }
        let workgroup_size = self.ops[0].shader.constant("WORKGROUP_SIZE").unwrap_or(64);
        out + &format!(
            "{params}}}
@group(0) @binding(0) var<uniform> all_params: AllParams;
@compute @workgroup_size({workgroup_size})
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>, @builtin(local_invocation_index) local_invocation_index: u32{parameter}) {{
{calls}}}"
        )
    }
}

impl FusedOp {
    /// The WGSL of operation `i`. Names that end in `$` become unique: bindings by their number, others by the operation's.
    fn expand(&self, i: usize) -> shader::Expanded {
        self.shader.expand(|name| match self.slots.iter().find(|(binding, _)| *binding == name) {
            Some((_, slot)) => shader::OwnName::Binding(*slot),
            None if name == "params" => shader::OwnName::Name(format!("all_params.params_of{i}")),
            None => shader::OwnName::Name(format!("{name}_of{i}")),
        })
    }
}
