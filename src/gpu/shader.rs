//! The text of a shader: loops written out, constants put in, conditions decided.
//!
//! Three directives, each on a line of its own: `#include name`, `#if NAME` (with `#else`), `#for i in 0..4`; each of the
//! last two goes to its `#end`. `$i` and `$NAME` stand for values. That is all that the kernels need, and it keeps both
//! compilers of WGSL (naga and Tint) from having to unroll anything.

use crate::step::OpKind;

/// What a shader's text is made with: names that may stand in it, and their values. A condition holds if its name is here.
pub type Constants = Vec<(&'static str, u32)>;

/// A file of `shaders/` that is no operation's.
pub(super) fn alone(stem: &str, constants: &Constants) -> String {
    let mut text = String::new();
    expand(&mut file(stem).lines(), constants, true, &mut text);
    text
}

/// The text of all shaders before their loops are written out: the same wherever it is learned.
pub fn shaders() -> String {
    FILES.iter().map(|(_, text)| text.replace('~', "")).collect()
}

/// A shader before it is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// The operation.
    pub kind: OpKind,
    /// What its text is made with.
    pub constants: Constants,
}

/// Every file of `shaders/` by its stem, without comments, and with the marks of build.rs.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

impl Shader {
    /// The operation's own file, with marks behind what has to get a name of its own.
    pub(super) fn body(&self) -> String {
        let mut text = String::new();
        expand(&mut file(self.kind.stem()).lines(), &self.constants, true, &mut text);
        text
    }

    /// A constant's value, if it is given.
    pub(super) fn constant(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

fn file(stem: &str) -> &'static str {
    let found = FILES.iter().find(|(name, _)| *name == stem);
    found.unwrap_or_else(|| panic!("there is no shader {stem}")).1
}

/// Writes lines out up to an `#else`, an `#end` or the last one; says whether it was an `#else`.
fn expand<'a>(lines: &mut (impl Iterator<Item = &'a str> + Clone), values: &[(&'a str, u32)], is_wanted: bool, out: &mut String) -> bool {
    while let Some(line) = lines.next() {
        match line.trim_start().strip_prefix('#').map(|d| d.split_whitespace().collect::<Vec<_>>()).as_deref() {
            None if is_wanted => {
                out.push_str(&substitute(line, values));
                out.push('\n');
            }
            None => {}
            Some(["include", stem]) => {
                expand(&mut file(stem).lines(), values, is_wanted, out);
            }
            Some(["if", name]) => {
                let holds = values.iter().any(|(n, _)| n == name);
                if expand(lines, values, is_wanted && holds, out) {
                    expand(lines, values, is_wanted && !holds, out);
                }
            }
            Some(["for", name, "in", range]) => {
                let count: u32 = substitute(range.trim_start_matches("0.."), values).parse().expect("a loop runs to a number");
                let body = lines.clone();
                for i in 0..count {
                    let inner: Vec<(&str, u32)> = values.iter().copied().chain([(*name, i)]).collect();
                    expand(&mut body.clone(), &inner, is_wanted, out);
                }
                expand(lines, values, false, out);
            }
            Some(["else"]) => return true,
            Some(["end"]) => return false,
            Some(other) => panic!("unknown directive {other:?}"),
        }
    }
    false
}

fn substitute(line: &str, values: &[(&str, u32)]) -> String {
    values.iter().fold(line.to_owned(), |line, (name, value)| line.replace(&format!("${name}"), &value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, values: &[(&'static str, u32)]) -> String {
        let mut out = String::new();
        expand(&mut text.lines(), values, true, &mut out);
        out
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
}
