//! Operations that go together: one dispatch does several, where none of them waits for another.
//!
//! A dispatch costs a device some time whatever it does, and leaves it idle while the last workgroups are at work. So neighbouring
//! operations of one kind share one: *beside* each other, each with workgroups of its own, where none touches what another writes; or *in
//! turn*, each thread doing one after the other, where each goes on with the sum of the one before. Either way every thread does what it
//! does alone, in the same order, so the bits are the same.

use super::launch::{Access, Grid, Launch};
use super::shader::{Constants, Shader, alone};
use super::tuning::Tuning;
use crate::step::{Op, OpKind, TensorId};

/// Base WebGPU's `max_storage_buffers_per_shader_stage`.
const MAX_STORAGE_BUFFERS: usize = 8;
/// Constants that change what a kernel does, but nothing that members share.
const OWN: [&str; 4] = ["ACCUMULATE", "BIAS", "RESIDUAL", "SCALED"];

/// One dispatch, for one operation or several.
#[derive(Clone, Debug)]
pub struct Joint {
    /// What is compiled.
    pub code: Code,
    /// Bindings 2, 3 … by the name of the variable in the shaders, which is the same in all that share one.
    pub bindings: Vec<(&'static str, Access, TensorId)>,
    /// Workgroups of the largest member.
    pub grid: Grid,
}

/// What is compiled as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    members: Vec<Member>,
    is_in_turn: bool,
}

/// A shader among others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    shader: Shader,
    /// For each of its bindings, the name and the number.
    slots: Vec<(&'static str, usize)>,
    /// Workgroups along y.
    rows: u32,
}

impl Joint {
    /// An operation by itself.
    pub fn alone(launch: &Launch) -> Joint {
        let mut joint = Joint { code: Code { members: Vec::new(), is_in_turn: false }, bindings: Vec::new(), grid: launch.grid };
        joint.add(launch);
        joint
    }

    /// Of operations that follow one another, as many of the first ones as go together. `overlap` tells whether two tensors have a byte of
    /// memory in common.
    pub fn of(all: &[(&Op, &Launch)], tuning: &Tuning, overlap: impl Fn(TensorId, TensorId) -> bool) -> Joint {
        let mut joint = Joint::alone(all[0].1);
        let is_in_turn = all[0].0.kind() == OpKind::LinearGrad;
        let most = if is_in_turn { tuning.in_turn } else { tuning.beside };
        for count in 1..all.len().min(most as usize) {
            let (op, launch) = all[count];
            let fits = |&(other, its): &(&Op, &Launch)| match is_in_turn {
                true => goes_on(other, op) && its.grid == launch.grid,
                false => are_apart(other, op) && its.grid.is_along(launch.grid),
            };
            let mut larger = joint.clone();
            larger.add(launch);
            let fit = is_one_of_several(op.kind()) && all[..count].iter().all(|other| fits(other) && share_threads(other.1, launch));
            if !fit || !larger.can_be_bound(&overlap) {
                break;
            }
            joint = larger;
            joint.code.is_in_turn = is_in_turn;
        }
        joint
    }

    /// Operations that it does: one at least.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// Layers of workgroups along z.
    pub fn layers(&self) -> u32 {
        if self.code.is_beside() { self.len() as u32 } else { 1 }
    }

    fn add(&mut self, launch: &Launch) {
        let slot = |binding: &(&'static str, Access, TensorId)| {
            let place = self.bindings.iter().position(|bound| bound == binding).unwrap_or_else(|| {
                self.bindings.push(*binding);
                self.bindings.len() - 1
            });
            (binding.0, 2 + place)
        };
        let slots = launch.bindings.iter().map(slot).collect();
        self.code.members.push(Member { shader: launch.shader.clone(), slots, rows: launch.grid.rows() });
        self.grid = self.grid.larger(launch.grid);
    }

    /// No tensor is bound twice, not even a byte of one.
    fn can_be_bound(&self, overlap: impl Fn(TensorId, TensorId) -> bool) -> bool {
        let pairs = self.bindings.iter().enumerate().flat_map(|(i, a)| self.bindings[..i].iter().map(move |b| (a.2, b.2)));
        self.bindings.len() <= MAX_STORAGE_BUFFERS && !pairs.into_iter().any(|(a, b)| a == b || overlap(a, b))
    }
}

/// Kinds of which a step has several behind one another.
fn is_one_of_several(kind: OpKind) -> bool {
    use OpKind::{BiasGrad, Linear, LinearGrad, LinearWeightGrad, RmsNorm, Rope, SquareSum, Zero};
    matches!(kind, Linear | LinearGrad | LinearWeightGrad | BiasGrad | Rope | RmsNorm | Zero | SquareSum)
}

/// Does neither of two operations touch what the other writes? Sums of squares each have their own part of what they write.
fn are_apart(a: &Op, b: &Op) -> bool {
    let are_sums = a.kind() == OpKind::SquareSum;
    a.kind() == b.kind() && (are_sums || a.written().all(|id| !b.touches(id)) && b.written().all(|id| !a.touches(id)))
}

/// Does the second add to what the first wrote, each thread to what it wrote itself?
fn goes_on(first: &Op, second: &Op) -> bool {
    matches!((first, second), (Op::LinearGrad { d_x: a, .. }, Op::LinearGrad { d_x: b, accumulate: true, .. }) if a == b)
}

/// Can both have the same threads and, if they have any, the same memory of a workgroup?
fn share_threads(a: &Launch, b: &Launch) -> bool {
    let [a, b] = [a, b].map(|launch| &launch.shader);
    let mut sizes = a.constants.iter().chain(&b.constants).map(|(name, _)| *name).filter(|name| !OWN.contains(name));
    let is_same = |name| a.constant(name) == b.constant(name);
    is_same("LANES") && (a.constant("STAGED").is_none() && b.constant("STAGED").is_none() || sizes.all(is_same))
}

impl Code {
    /// Operations that it does: one at least.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Do the threads of a subgroup talk?
    pub fn has_subgroups(&self) -> bool {
        self.members[0].shader.constant("SUBGROUP").is_some()
    }

    /// Does it do several operations beside each other? Only then does its text say how many workgroups each of them has.
    fn is_beside(&self) -> bool {
        self.len() > 1 && !self.is_in_turn
    }

    /// The same for all with the same text.
    pub(super) fn key(&self) -> Code {
        let mut key = self.clone();
        if !self.is_beside() {
            key.members.iter_mut().for_each(|member| member.rows = 0);
        }
        key
    }

    /// What it is called on the device.
    pub fn label(&self) -> &'static str {
        self.members[0].shader.kind.stem()
    }

    /// The WGSL that a compiler gets: the members' texts, each with names of its own, and a `main` that calls theirs.
    pub fn wgsl(&self) -> String {
        let mut out = alone("prelude", &Constants::new());
        let [mut params, mut calls] = ["struct Members {", ""].map(String::from);
        let (parameter, place) = match self.has_subgroups() {
            true => (", @builtin(subgroup_invocation_id) place: u32", "place"),
            false => ("", "0"),
        };
        for (i, member) in self.members.iter().enumerate() {
            // What belongs to the workgroup, and tensors that several are bound to, they have in common.
            for line in member.text(i).lines() {
                let is_common = line.starts_with('@') || line.starts_with("var<");
                let variable = line.split_inclusive(": ").next().unwrap_or(line);
                if !(is_common && out.contains(variable)) {
                    out.extend([line, "\n"]);
                }
            }
            params += &format!("@align(256) @size(256) params_of{i}: Params_of{i},");
            let call = format!("main_of{i}(workgroup, workgroups, lane, {place});\n");
            calls += &match self.is_beside() {
                false => call,
                true => format!("if workgroup.z == {i} && workgroup.y < {}u {{ {call} }}\n", member.rows),
            };
        }
        let lanes = self.members[0].shader.constant("LANES").unwrap_or(64);
        out + &format!(
            "{params}}}
@group(0) @binding(0) var<uniform> members: Members;
@compute @workgroup_size({lanes})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) lane: u32{parameter}) {{
{calls}}}"
        )
    }
}

impl Member {
    /// The text of the shader, member `i`: a binding's name has its place behind it, and every other that is marked has the member's.
    fn text(&self, i: usize) -> String {
        let body = self.shader.body();
        let mut parts = body.split('~');
        let mut out = parts.next().expect("a text has a first part").to_owned();
        for part in parts {
            let start = out.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
            match self.slots.iter().find(|(name, _)| *name == &out[start..]) {
                Some((_, slot)) if out[..start].ends_with("@binding(") => {
                    out.truncate(start);
                    out += &slot.to_string();
                }
                Some((_, slot)) => out += &format!("_bound{slot}"),
                None => {
                    if &out[start..] == "params" {
                        out.insert_str(start, "members.");
                    }
                    out += &format!("_of{i}");
                }
            }
            out += part;
        }
        out
    }
}
