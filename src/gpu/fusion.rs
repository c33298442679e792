//! Kernel fusion: one dispatch for several adjacent operations.
//!
//! Every dispatch has a fixed cost, and while its last workgroups run, the rest of the device is idle. There are two kinds of fusion:
//!
//! - *beside* one another: each operation has its own workgroups; none may touch what another writes;
//! - *one after the other*: the same workgroups run operations that go on with what these workgroups have just computed.
//!
//! In both kinds what is computed for the operation alone is computed, in the same order, so results are bit-identical.

use super::cutting::Cut;
use super::dispatch::{BindingAccess, Dispatch, Grid, Group, LABELLED_ONLY_AT};
use super::shader::{self, Shader};
use super::tuning::Tuning;
use crate::step::ops::Fusion;
use crate::step::{Op, TensorId};

/// A dispatch of one operation or of several fused ones.
#[derive(Clone, Debug)]
pub struct FusedDispatch {
    /// The kernel to compile.
    pub source: KernelSource,
    /// Bindings 2, 3, …: the name of the shaders' variable, its access mode, and the tensor. Operations that share a binding use the name
    /// that it has in the first of them.
    pub bindings: Vec<(&'static str, BindingAccess, TensorId)>,
}

/// The source of a kernel: the shaders of its operations. It is also the key of the pipeline cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelSource {
    ops: Vec<FusedOp>,
    groups: Vec<Group>,
}

/// An operation of a fused dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FusedOp {
    shader: Shader,
    slots: Vec<Slot>,
}

/// A binding of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    /// Its name in the shader of the operation.
    name: &'static str,
    /// Its name in the dispatch.
    variable: &'static str,
    number: usize,
}

/// The place of an operation in a dispatch.
enum Place {
    /// In workgroups of its own.
    Beside,
    /// After the others of a group.
    After(usize),
}

impl FusedDispatch {
    /// The dispatch of an operation alone.
    pub fn alone(dispatch: &Dispatch) -> FusedDispatch {
        let source = KernelSource { ops: Vec::new(), groups: Vec::new() };
        let mut fused = FusedDispatch { source, bindings: Vec::new() };
        fused.add(dispatch, &Place::Beside);
        fused
    }

    /// Fuses as many of the first operations of a run as possible: at least one.
    pub fn of(all: &[(&Op, &Dispatch)], tuning: &Tuning) -> FusedDispatch {
        let mut fused = FusedDispatch::alone(all[0].1);
        for count in 1..all.len() {
            let Some(place) = fused.place(&all[..count], all[count], tuning) else { break };
            let mut larger = fused.clone();
            larger.add(all[count].1, &place);
            if !larger.can_be_bound(tuning) {
                break;
            }
            fused = larger;
        }
        fused
    }

    /// The number of operations, at least one.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Its operations, by the workgroups that run them.
    pub fn groups(&self) -> &[Group] {
        &self.source.groups
    }

    /// The place of one more operation after those that are there, if it can have one.
    fn place(&self, there: &[(&Op, &Dispatch)], (op, dispatch): (&Op, &Dispatch), tuning: &Tuning) -> Option<Place> {
        let relations: Vec<Fusion> = there.iter().map(|(earlier, _)| earlier.fusion_with(op)).collect::<Option<_>>()?;
        let follows = |group: &Group| group.ops.iter().any(|&place| relations[place] == Fusion::After);
        let mut followed = (0..self.groups().len()).filter(|&group| follows(&self.groups()[group]));
        match (followed.next(), followed.next()) {
            (None, _) => {
                let cut = |dispatch: &Dispatch| Cut::of(dispatch.shader.kind, dispatch.grid);
                let fits =
                    there.iter().all(|(_, other)| other.workgroup_size() == dispatch.workgroup_size() && cut(other) == cut(dispatch));
                (fits && self.groups().len() < tuning.max_parallel_fused as usize).then_some(Place::Beside)
            }
            (Some(group), None) => {
                let ops = &self.groups()[group].ops;
                let last = there[*ops.last()?].1;
                (ops.len() < tuning.max_sequential_fused as usize && can_follow(last, dispatch)).then_some(Place::After(group))
            }
            (Some(_), Some(_)) => None,
        }
    }

    fn add(&mut self, dispatch: &Dispatch, place: &Place) {
        let slot = |&(name, access, tensor): &(&'static str, BindingAccess, TensorId)| {
            let index = self.bindings.iter().position(|bound| (bound.1, bound.2) == (access, tensor)).unwrap_or_else(|| {
                self.bindings.push((name, access, tensor));
                self.bindings.len() - 1
            });
            Slot { name, variable: self.bindings[index].0, number: 2 + index }
        };
        let slots = dispatch.bindings.iter().map(slot).collect();
        let mut shader = dispatch.shader.clone();
        let KernelSource { ops, groups } = &mut self.source;
        match *place {
            Place::Beside => groups.push(Group { grid: dispatch.grid, ops: vec![ops.len()] }),
            Place::After(group) => {
                let before = &ops[groups[group].ops[0]].shader;
                if dispatch.follows_vec4s.is_some() {
                    let constant = |name| before.constant(name).expect("only tiles in workgroup memory are gone on from");
                    shader.constants.push(("TILE_VEC4S", constant("COL_VEC4S") * constant("COL_THREADS")));
                    shader.constants.push(("TILE_THREADS", constant("WORKGROUP_SIZE")));
                }
                groups[group].ops.push(ops.len());
            }
        }
        ops.push(FusedOp { shader, slots });
    }

    /// Are there few enough bindings, each of another tensor?
    fn can_be_bound(&self, tuning: &Tuning) -> bool {
        let mut pairs = self.bindings.iter().enumerate().flat_map(|(i, a)| self.bindings[..i].iter().map(move |b| (a.2, b.2)));
        self.bindings.len() <= tuning.max_storage_buffers as usize && pairs.all(|(a, b)| a != b)
    }
}

/// Can the workgroups of an operation go on with another one? Either it has the same tiles, or it needs no more than what lies in them.
fn can_follow(last: &Dispatch, next: &Dispatch) -> bool {
    match next.follows_vec4s {
        Some(vec4s) => last.tile_vec4s.is_some_and(|tile| tile.is_multiple_of(vec4s)),
        None => last.grid == next.grid && last.workgroup_size() == next.workgroup_size(),
    }
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

    /// The key of the pipeline cache: equal for sources with the same WGSL. Only with several groups does it contain their grids.
    pub(super) fn key(&self) -> KernelSource {
        let mut key = self.clone();
        if let [alone] = &mut key.groups[..] {
            alone.grid = Grid::Workgroups(0, 0);
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
        let mut params = String::from("struct AllParams {");
        let mut shared = Vec::new();
        for (i, op) in self.ops.iter().enumerate() {
            let expanded = op.expand(i);
            for text in expanded.shared {
                if !shared.contains(&text) {
                    out += &text;
                    shared.push(text);
                }
            }
            // Operations share bindings that several of them use.
            for line in expanded.text.lines() {
                let variable = line.split_inclusive(": ").next().unwrap_or(line);
                if !(line.starts_with('@') && out.contains(variable)) {
                    out.extend([line, "\n"]);
                }
            }
            params += &format!("@align(256) @size({LABELLED_ONLY_AT}) params_of{i}: Params_of{i}, labelled_only_of{i}: u32,");
        }
        let subgroup = if self.has_subgroups() { ", @builtin(subgroup_invocation_id) subgroup_invocation_id: u32" } else { "" };
        let workgroup_size = self.ops[0].shader.workgroup_size();
        out + &format!(
            "{params}}}
@group(0) @binding(0) var<uniform> all_params: AllParams;
@compute @workgroup_size({workgroup_size})
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>, @builtin(local_invocation_index) local_invocation_index: u32{subgroup}) {{
{}}}",
            self.calls()
        )
    }

    /// The body of `main`: each group of operations has the workgroups that follow those of the groups before it.
    fn calls(&self) -> String {
        if let [alone] = &self.groups[..] {
            return self.calls_of(alone, "workgroup_id, num_workgroups");
        }
        let mut out = String::from("var at = flat_workgroup(workgroup_id, num_workgroups);\n");
        for (i, group) in self.groups.iter().enumerate() {
            let calls = self.calls_of(group, &format!("vec3(at % grid{i}.x, at / grid{i}.x, 0u), vec3(grid{i}, 1u)"));
            out += &format!(
                "let grid{i} = {};\nif at < grid{i}.x * grid{i}.y {{\n{calls}return;\n}}\nat -= grid{i}.x * grid{i}.y;\n",
                group.grid.wgsl()
            );
        }
        out
    }

    /// Calls the operations of a group. Before one that goes on with a tile, what the workgroup has stored is there for all its threads.
    fn calls_of(&self, group: &Group, place: &str) -> String {
        let subgroup = if self.has_subgroups() { "subgroup_invocation_id" } else { "0" };
        let call = |&op: &usize| {
            let barrier = self.ops[op].shader.constant("TILE_VEC4S").map_or("", |_| "storageBarrier();\n");
            format!("{barrier}main_of{op}({place}, local_invocation_index, {subgroup});\n")
        };
        group.ops.iter().map(call).collect()
    }
}

impl FusedOp {
    /// The WGSL of operation `i`. Names that end in `$` become unique: bindings by their number, others by the operation's.
    fn expand(&self, i: usize) -> shader::Expanded {
        self.shader.expand(|name| match self.slots.iter().find(|slot| slot.name == name) {
            Some(slot) => shader::OwnName::Binding(slot.variable, slot.number),
            None if ["params", "labelled_only"].contains(&name) => shader::OwnName::Name(format!("all_params.{name}_of{i}")),
            None => shader::OwnName::Name(format!("{name}_of{i}")),
        })
    }
}
