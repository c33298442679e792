//! Operations that go together: one dispatch does several, where none of them waits for another.
//!
//! A dispatch costs a device some time whatever it does, and leaves it idle while the last workgroups are at work. So neighbouring
//! operations of one kind share one: *beside* each other, each with workgroups of its own, where none touches what another writes; or *in
//! turn*, each thread doing one after the other, where each goes on with the sum of the one before. Either way every thread does what it
//! does alone, in the same order, so the bits are the same.

use std::fmt::Write as _;

use super::launch::{Access, Grid, Launch};
use super::shader::{Constants, Shader, prelude};
use super::tuning::Tuning;
use crate::step::{Op, OpKind, TensorId};

/// Base WebGPU's `max_storage_buffers_per_shader_stage`.
const MAX_STORAGE_BUFFERS: usize = 8;
/// Constants that change what a kernel does, but nothing that members share.
const OWN: [&str; 5] = ["ACCUMULATE", "BIAS", "RESIDUAL", "LAST_BINDING", "SCALED"];

/// One dispatch, for one operation or several.
#[derive(Clone, Debug)]
pub struct Joint {
    /// What is compiled.
    pub code: Code,
    /// Bindings 2, 3 …
    pub bindings: Vec<(Access, TensorId)>,
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
    /// For each of its bindings, the place among those of all.
    slots: Vec<usize>,
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
        if self.code.is_in_turn { 1 } else { self.len() as u32 }
    }

    fn add(&mut self, launch: &Launch) {
        let slot = |&(_, access, id): &(&str, Access, TensorId)| {
            let found = self.bindings.iter().position(|bound| *bound == (access, id));
            found.unwrap_or_else(|| {
                self.bindings.push((access, id));
                self.bindings.len() - 1
            })
        };
        let slots = launch.bindings.iter().map(slot).collect();
        self.code.members.push(Member { shader: launch.shader.clone(), slots, rows: launch.grid.rows() });
        self.grid = self.grid.larger(launch.grid);
    }

    /// No tensor is bound twice, not even a byte of one.
    fn can_be_bound(&self, overlap: impl Fn(TensorId, TensorId) -> bool) -> bool {
        let pairs = self.bindings.iter().enumerate().flat_map(|(i, a)| self.bindings[..i].iter().map(move |b| (a.1, b.1)));
        self.bindings.len() <= MAX_STORAGE_BUFFERS && !pairs.into_iter().any(|(a, b)| a == b || overlap(a, b))
    }
}

/// Kinds of which a step has several behind one another.
fn is_one_of_several(kind: OpKind) -> bool {
    use OpKind::*;
    matches!(kind, Linear | LinearGrad | LinearWeightGrad | BiasGrad | Rope | RmsNorm | Zero | SquareSum)
}

/// Does neither of two operations touch what the other writes?
fn are_apart(a: &Op, b: &Op) -> bool {
    a.kind() == b.kind() && a.written().all(|id| !b.touches(id)) && b.written().all(|id| !a.touches(id))
}

/// Does the second add to what the first wrote, each thread to what it wrote itself?
fn goes_on(first: &Op, second: &Op) -> bool {
    matches!((first, second), (Op::LinearGrad { d_x: a, .. }, Op::LinearGrad { d_x: b, accumulate: true, .. }) if a == b)
}

/// Can both have the same threads and, if they have any, the same memory of a workgroup?
fn share_threads(a: &Launch, b: &Launch) -> bool {
    let [a, b] = [a, b].map(|launch| &launch.shader.constants);
    let get = |constants: &Constants, name| constants.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let sizes = |constants: &Constants| constants.iter().filter(|(name, _)| !OWN.contains(name)).copied().collect::<Constants>();
    get(a, "LANES") == get(b, "LANES") && (get(a, "STAGED").is_none() && get(b, "STAGED").is_none() || sizes(a) == sizes(b))
}

impl Code {
    /// Operations that it does: one at least.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// What it is called on the device.
    pub fn label(&self) -> &'static str {
        self.members[0].shader.kind.stem()
    }

    /// The WGSL that a compiler gets.
    pub fn wgsl(&self) -> String {
        if let [alone] = &self.members[..] {
            return alone.shader.wgsl();
        }
        let mut out = prelude();
        let bodies: Vec<Body> = (0..).zip(&self.members).map(|(i, member)| Body::new(i, member)).collect();
        let mut slots = Vec::new();
        let mut shared = Vec::new();
        for body in &bodies {
            for (is_binding, slot, line) in &body.variables {
                let seen = if *is_binding { &mut slots } else { &mut shared };
                if !seen.contains(slot) {
                    seen.push(slot.clone());
                    out += line;
                    out.push('\n');
                }
            }
            out += &body.text;
        }
        out += "struct Members {\n";
        (0..bodies.len()).for_each(|i| writeln!(out, "@align(256) @size(256) of{i}: Params_{i},").expect("a string takes all"));
        out += "}\n@group(0) @binding(0) var<uniform> members: Members;\n";
        out + &self.entry(&bodies)
    }

    /// `main`, which calls those of the members.
    fn entry(&self, bodies: &[Body]) -> String {
        let Body { size, builtins, .. } = &bodies[0];
        let mut all = builtins.clone();
        if !all.iter().any(|(builtin, ..)| builtin == "workgroup_id") {
            all.push(("workgroup_id".into(), "workgroup".into(), "vec3<u32>".into()));
        }
        let list = |items: Vec<String>| items.join(", ");
        let parameters = list(all.iter().map(|(builtin, name, ty)| format!("@builtin({builtin}) {name}: {ty}")).collect());
        let arguments = list(builtins.iter().map(|(_, name, _)| name.clone()).collect());
        let mut out = format!("{size}\nfn main({parameters}) {{\n");
        for (i, member) in self.members.iter().enumerate() {
            let call = format!("main_{i}({arguments});");
            let line = match self.is_in_turn {
                true => call,
                false => format!("if workgroup.z == {i}u && workgroup.y < {}u {{ {call} }}", member.rows),
            };
            out += &line;
            out.push('\n');
        }
        out + "}\n"
    }
}

/// A member's shader with names of its own.
struct Body {
    /// Bindings by their place, and what a workgroup shares by its name, each with its line: members may have these in common.
    variables: Vec<(bool, String, String)>,
    /// The rest, with `main` a function like others.
    text: String,
    /// The line with the size of a workgroup.
    size: String,
    /// What `main` is told: the builtin, the name and the type of each.
    builtins: Vec<(String, String, String)>,
}

impl Body {
    fn new(i: usize, member: &Member) -> Body {
        let text = member.shader.body();
        let mut names = vec![("params".to_owned(), format!("members.of{i}"))];
        for line in text.lines() {
            let Some((keyword, name)) = declared(line) else { continue };
            match keyword {
                "var<workgroup>" => {}
                "@group(0)" => {
                    let binding: usize = line.split(['(', ')']).nth(3).and_then(|n| n.parse().ok()).expect("a binding has a number");
                    names.push((name.to_owned(), format!("at{}", member.slots[binding - 2])));
                }
                _ => names.push((name.to_owned(), format!("{name}_{i}"))),
            }
        }
        let mut body = Body { variables: Vec::new(), text: String::new(), size: String::new(), builtins: Vec::new() };
        let renamed = renamed(&text, &names);
        let mut lines = renamed.lines();
        while let Some(line) = lines.next() {
            match declared(line) {
                Some(("@group(0)", name)) => {
                    let slot: usize = name.trim_start_matches("at").parse().expect("it was named so");
                    let ty = line.split_once("> ").expect("it has an address space").1;
                    let space = &line[line.find("var").expect("it is a variable")..line.find("> ").expect("it has an address space")];
                    body.variables.push((true, name.to_owned(), format!("@group(0) @binding({}) {space}> {ty}", slot + 2)));
                }
                Some(("var<workgroup>", name)) => body.variables.push((false, name.to_owned(), line.to_owned())),
                _ if line.starts_with("@compute") => body.size = line.to_owned(),
                Some(("fn", name)) if name == format!("main_{i}") => body.take_main(i, line, &mut lines),
                _ => {
                    body.text += line;
                    body.text.push('\n');
                }
            }
        }
        body
    }

    /// Takes the builtins out of the parameters of `main`, which end with the line that opens its body.
    fn take_main<'a>(&mut self, i: usize, line: &'a str, lines: &mut impl Iterator<Item = &'a str>) {
        let mut head = line.to_owned();
        while !head.ends_with('{') {
            head += lines.next().expect("it has a body");
        }
        let list = &head[head.find('(').expect("it has parameters") + 1..head.rfind(')').expect("they end")];
        let parts = list.split("@builtin(").skip(1).map(|part| {
            let (builtin, rest) = part.split_once(')').expect("a builtin");
            let (name, ty) = rest.split_once(':').expect("a name and a type");
            [builtin, name, ty].map(|word| word.trim().trim_end_matches(',').to_owned())
        });
        self.builtins = parts.map(|[builtin, name, ty]| (builtin, name, ty)).collect();
        let parameters: Vec<String> = self.builtins.iter().map(|(_, name, ty)| format!("{name}: {ty}")).collect();
        writeln!(self.text, "fn main_{i}({}) {{", parameters.join(", ")).expect("a string takes all");
    }
}

/// What a line of a module declares: the keyword and the name.
fn declared(line: &str) -> Option<(&str, &str)> {
    let keyword = line.split_whitespace().next()?;
    let rest = match keyword {
        "struct" | "fn" | "const" | "alias" | "var<workgroup>" => &line[keyword.len() + 1..],
        "@group(0)" => line.split_once("> ")?.1,
        _ => return None,
    };
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(|name| (keyword, name))
}

/// With other names for some, but for what belongs to a value, which has a point in front.
fn renamed(text: &str, names: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(start) = rest.find(is_of_a_word) {
        out += &rest[..start];
        let word = &rest[start..];
        let word = &word[..word.find(|c| !is_of_a_word(c)).unwrap_or(word.len())];
        let other = names.iter().find(|(name, _)| name == word && !out.ends_with('.'));
        out += other.map_or(word, |(_, other)| other);
        rest = &rest[start + word.len()..];
    }
    out + rest
}
