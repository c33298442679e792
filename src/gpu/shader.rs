//! The preprocessor of shaders: a small dialect of WGSL.
//!
//! There are five directives, each on a line of its own: `#include name` (declarations), `#insert name` (lines of a function, where they
//! stand), `#tensor x` (the binding of an operand with any dtype of activations, with the functions `load_x$` and `store_x$`), `#if NAME`
//! (with an optional `#else`), and `#for i in 0..4`. The last two extend to `#end`. `$i` and `$NAME` stand for numbers. So neither WGSL
//! compiler (naga or Tint) has to unroll loops.
//!
//! A name that ends in `$` belongs to one operation: `x$`, `params$`, `main$`. Several operations may share a dispatch
//! ([`fusion`](super::fusion)), so each operation gets its own variant of such a name. Other names are those of `prelude.wgsl`, local
//! variables, fields, and helpers that all operations share.

use crate::for_each_op;
use crate::shaders::{self, FILES};
use crate::step::{OpKind, Precision};

/// The constants of a shader: names with their values. The condition of an `#if` holds if its name is among them.
pub type Constants = Vec<(&'static str, u32)>;

/// The replacement of a name that ends in `$`.
pub(super) enum OwnName {
    /// The name of a binding, and its number.
    Binding(&'static str, usize),
    /// This name.
    Name(String),
}

/// WGSL with all directives expanded.
#[derive(Default)]
pub(super) struct Expanded {
    pub text: String,
    /// Included files without `$` names: one copy is enough for all operations of a dispatch.
    pub shared: Vec<String>,
}

impl Expanded {
    fn new(code: &str, constants: &[(&str, u32)], operands: &[(&str, Precision)]) -> Self {
        let mut expanded = Expanded::default();
        expanded.expand(&mut code.lines(), &Names { constants, operands }, true);
        expanded
    }
}

/// What names in a shader stand for.
#[derive(Clone, Copy)]
struct Names<'a> {
    /// Numbers.
    constants: &'a [(&'a str, u32)],
    /// Operands that are not f32.
    operands: &'a [(&'a str, Precision)],
}

/// A file of `shaders/` that belongs to no operation.
pub(super) fn part(stem: &str, constants: &Constants) -> String {
    Expanded::new(shaders::code(stem), constants, &[]).text
}

/// The shader of an operation, before expansion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// The operation.
    pub kind: OpKind,
    /// Its constants.
    pub constants: Constants,
    /// Its operands that are not f32.
    pub operands: Vec<(&'static str, Precision)>,
}

impl Shader {
    /// A shader with operands in f32.
    pub fn new(kind: OpKind, constants: Constants) -> Self {
        Shader { kind, constants, operands: Vec::new() }
    }

    /// May an operand have any dtype of activations? Otherwise it is f32.
    pub fn takes_activations(&self, operand: &str) -> bool {
        let is_it = |line: &str| line.strip_prefix("#tensor ") == Some(operand);
        let mut codes = vec![shaders::code(&self.file())];
        while let Some(code) = codes.pop() {
            if code.lines().any(is_it) {
                return true;
            }
            codes.extend(code.lines().filter_map(|line| line.strip_prefix("#include ")).map(shaders::code));
        }
        false
    }

    /// Expands the operation's file. `own_name` returns the replacement of each name that ends in `$`.
    pub(super) fn expand(&self, own_name: impl Fn(&str) -> OwnName) -> Expanded {
        let Expanded { text, shared } = Expanded::new(shaders::code(&self.file()), &self.constants, &self.operands);
        for (name, precision) in &self.operands {
            assert!(text.contains(&format!("load_{name}$(")), "{}.wgsl takes no {name} in {precision:?}", self.file());
        }
        let mut pieces = text.split('$');
        let mut out = pieces.next().expect("a text has a first piece").to_owned();
        for piece in pieces {
            let start = out.rfind(|c| !is_identifier(c)).map_or(0, |at| at + 1);
            let name = match own_name(&out[start..]) {
                OwnName::Binding(_, number) if out[..start].ends_with("@binding(") => number.to_string(),
                OwnName::Binding(name, number) => format!("{name}_bound{number}"),
                OwnName::Name(name) => name,
            };
            out.truncate(start);
            out.extend([&name, piece]);
        }
        Expanded { text: out, shared }
    }

    /// The stem of its file: that of the operation, or of its variant in tiles of workgroup memory.
    pub fn file(&self) -> String {
        let variant = if self.constant("TILED").is_some() { "_tiled" } else { "" };
        format!("{}{variant}", self.kind.stem())
    }

    /// Threads of a workgroup: `WORKGROUP_SIZE` of `prelude.wgsl` unless the kernel has its own.
    pub fn workgroup_size(&self) -> u32 {
        self.constant("WORKGROUP_SIZE").unwrap_or(64)
    }

    /// The value of a constant, if it is defined.
    pub(super) fn constant(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

impl Expanded {
    /// Expands lines up to an `#else`, an `#end` or the last one. Returns whether it was an `#else`.
    fn expand<'a>(&mut self, lines: &mut (impl Iterator<Item = &'a str> + Clone), names: &Names<'_>, is_wanted: bool) -> bool {
        while let Some(line) = lines.next() {
            match line.trim_start().strip_prefix('#').map(|d| d.split_whitespace().collect::<Vec<_>>()).as_deref() {
                None if is_wanted => self.text.extend([&substitute(line, names.constants), "\n"]),
                None => {}
                Some(["include", stem]) if is_wanted => self.include(shaders::code(stem), names),
                Some(["include", _]) => {}
                Some(["insert", stem]) if is_wanted => {
                    self.text += &Expanded::new(shaders::code(stem), names.constants, names.operands).text;
                }
                Some(["insert", _]) => {}
                Some(["tensor", name, ..]) if is_wanted => self.tensor(name, names),
                Some(["tensor", ..]) => {}
                Some(["if", name]) => {
                    let holds = names.constants.iter().any(|(n, _)| n == name);
                    if self.expand(lines, names, is_wanted && holds) {
                        self.expand(lines, names, is_wanted && !holds);
                    }
                }
                Some(["for", name, "in", range]) => {
                    let count: u32 = substitute(range.trim_start_matches("0.."), names.constants).parse().expect("a loop runs to a number");
                    let body = lines.clone();
                    for i in 0..count {
                        let constants: Vec<(&str, u32)> = names.constants.iter().copied().chain([(*name, i)]).collect();
                        self.expand(&mut body.clone(), &Names { constants: &constants, ..*names }, is_wanted);
                    }
                    self.expand(lines, names, false);
                }
                Some(["else"]) => return true,
                Some(["end"]) => return false,
                Some(other) => panic!("unknown directive {other:?}"),
            }
        }
        false
    }

    fn include(&mut self, code: &'static str, names: &Names<'_>) {
        let included = Expanded::new(code, names.constants, names.operands);
        self.share(included.shared);
        if has_own_names(code) {
            self.text += &included.text;
        } else {
            self.share([included.text]);
        }
    }

    /// Declares an operand of that name: `tensor.wgsl` in its precision.
    fn tensor(&mut self, name: &str, names: &Names<'_>) {
        self.include(shaders::code("packed_loads"), names);
        let is_it = |(operand, _): &&(&str, Precision)| *operand == name;
        let condition = match names.operands.iter().find(is_it) {
            None | Some((_, Precision::F32)) => None,
            Some((_, Precision::Bf16)) => Some(("BF16", 1)),
            Some((_, Precision::RoundedToBf16)) => Some(("ROUNDED", 1)),
        };
        self.text += &Expanded::new(shaders::code("tensor"), condition.as_slice(), &[]).text.replace("NAME", name);
    }

    fn share(&mut self, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            if !self.shared.contains(&text) {
                self.shared.push(text);
            }
        }
    }
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Does the code contain names that end in `$`?
fn has_own_names(code: &str) -> bool {
    code.split('$').skip(1).any(|behind| !behind.starts_with(is_identifier))
}

fn substitute(line: &str, values: &[(&str, u32)]) -> String {
    values.iter().fold(line.to_owned(), |line, (name, value)| line.replace(&format!("${name}"), &value.to_string()))
}

macro_rules! require_shaders {
    ($($name:ident $stem:ident,)*) => {
        $(const _: () = assert!(
            has_file(stringify!($stem)) || !OpKind::$name.has_kernel(),
            concat!("there is no shaders/", stringify!($stem), ".wgsl")
        );)*
    };
}

for_each_op!(require_shaders);

const fn has_file(stem: &str) -> bool {
    let mut i = 0;
    while i < FILES.len() {
        if is_same(FILES[i].0.as_bytes(), stem.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, values: &[(&'static str, u32)]) -> String {
        Expanded::new(text, values, &[]).text
    }

    #[test]
    fn loops_are_written_out_and_nest() {
        let text = "#for i in 0..$N\n#for j in 0..2\na$i_$j\n#end\n#end\nz";
        assert_eq!(expanded(text, &[("N", 2)]), "a0_0\na0_1\na1_0\na1_1\nz\n");
    }

    #[test]
    fn conditions_are_decided() {
        let text = "#if A\n#if B\nab\n#else\na\n#end\n#else\nnone\n#end\nz";
        assert_eq!(expanded(text, &[("A", 1), ("B", 1)]), "ab\nz\n");
        assert_eq!(expanded(text, &[("A", 1)]), "a\nz\n");
        assert_eq!(expanded(text, &[("B", 1)]), "none\nz\n");
    }

    #[test]
    fn names_of_an_operation_get_another_end() {
        let shader = Shader::new(OpKind::Zero, Constants::new());
        let Expanded { text, .. } =
            shader.expand(|name| if name == "out" { OwnName::Binding("out", 7) } else { OwnName::Name(format!("{name}_3")) });
        assert!(text.contains("@binding(7) var<storage, read_write> out_bound7: array") && text.contains("fn main_3("), "{text}");
    }
}
