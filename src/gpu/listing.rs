//! Shaders for readers: a kernel's file as it is written, with what its lines do, and with the constants of the kernel.
//!
//! A comment `//: load` on a line of its own marks the lines below it, up to the next such comment; `//:` alone ends them. Marks are comments,
//! so they change no kernel.

use super::shader::{Constants, Shader};
use crate::shaders;

/// What marked lines do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// They read tensors, or what other threads have read.
    Load,
    /// They do the arithmetic.
    Multiply,
    /// They make one number of several: sums and maxima.
    Reduce,
    /// They write results.
    Store,
}

/// A line of a shader's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line as it is written.
    pub text: &'static str,
    /// What it does, if it is marked.
    pub mark: Option<Mark>,
    /// Does the kernel have it? Otherwise a condition leaves it out.
    pub is_used: bool,
}

/// A file of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its stem.
    pub stem: String,
    /// Its lines, without those that only mark others, and with those of files that it inserts.
    pub lines: Vec<Line>,
}

/// The constants and conditions of a kernel, as far as its files name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Constants with their values, such as the sizes of tiles.
    pub constants: Constants,
    /// Conditions that hold.
    pub conditions: Vec<&'static str>,
}

impl Mark {
    /// All marks, in the order in which a kernel's lines come.
    pub const ALL: [Mark; 4] = [Mark::Load, Mark::Multiply, Mark::Reduce, Mark::Store];

    /// Its name in shaders, texts and style sheets.
    pub fn name(self) -> &'static str {
        match self {
            Mark::Load => "load",
            Mark::Multiply => "multiply",
            Mark::Reduce => "reduce",
            Mark::Store => "store",
        }
    }
}

impl Shader {
    /// Its own file, and those that it includes.
    ///
    /// # Panics
    /// If there is no mark of a name that a file has.
    pub fn listing(&self) -> Vec<File> {
        let mut files = Vec::new();
        self.list(&self.file(), &mut files);
        files
    }

    /// Adds a file and those that it includes.
    fn list(&self, stem: &str, files: &mut Vec<File>) {
        if files.iter().any(|file| file.stem == stem) {
            return;
        }
        let lines = lines(shaders::source(stem), &self.constants);
        let included = lines.iter().filter(|line| line.is_used).filter_map(|line| directive(line.text, "include"));
        let included: Vec<&str> = included.collect();
        let has_tensors = lines.iter().any(|line| line.is_used && directive(line.text, "tensor").is_some());
        files.push(File { stem: stem.to_owned(), lines });
        included.iter().for_each(|stem| self.list(stem, files));
        if has_tensors {
            self.list("packed_loads", files);
            self.list_tensor(files);
        }
    }

    /// Adds the file that declares operands. Where some are not f32, it is there several times with other conditions, and each line counts.
    fn list_tensor(&self, files: &mut Vec<File>) {
        if files.iter().all(|file| file.stem != "tensor") {
            let mut lines = lines(shaders::source("tensor"), &Constants::new());
            lines.iter_mut().for_each(|line| line.is_used |= !self.operands.is_empty());
            files.push(File { stem: "tensor".to_owned(), lines });
        }
    }

    /// Its constants and conditions, as far as the lines that it has name them.
    pub fn named(&self) -> Named {
        let files = self.listing();
        let used = || files.iter().flat_map(|file| &file.lines).filter(|line| line.is_used).map(|line| line.text);
        let is_constant = |name: &str| used().any(|line| pieces(line).any(|(_, constant)| constant == Some(name)));
        let is_condition = |name: &str| used().any(|line| directive(line, "if") == Some(name));
        Named {
            constants: self.constants.iter().copied().filter(|(name, _)| is_constant(name)).collect(),
            conditions: self.constants.iter().map(|(name, _)| *name).filter(|name| is_condition(name)).collect(),
        }
    }
}

/// The pieces of a text. A constant is a piece of its own, and comes with its name.
pub fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.match_indices('$').map(|(at, _)| at).find(|&at| constant_len(&rest[at + 1..]) > 0);
        let (piece, name) = match start {
            Some(0) => {
                let len = 1 + constant_len(&rest[1..]);
                // The `u` of an unsigned literal belongs to it.
                (&rest[..len + usize::from(rest[len..].starts_with('u'))], Some(&rest[1..len]))
            }
            Some(at) => (&rest[..at], None),
            None => (rest, None),
        };
        rest = &rest[piece.len()..];
        (!piece.is_empty()).then_some((piece, name))
    })
}

/// Bytes of the constant's name with which a text begins. The numbers of loops have small letters.
fn constant_len(text: &str) -> usize {
    let end = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_uppercase()) { end } else { 0 }
}

/// What follows a directive of that name, if a line is one.
fn directive<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.trim_start().strip_prefix('#')?.strip_prefix(name)?.strip_prefix(' ').map(str::trim)
}

/// What a line marks: `Some(None)` if it ends the marked lines.
fn marked(line: &str) -> Option<Option<Mark>> {
    let name = line.trim_start().strip_prefix("//:")?.trim();
    let mark = Mark::ALL.into_iter().find(|mark| mark.name() == name);
    assert!(mark.is_some() || name.is_empty(), "there is no mark {name}");
    Some(mark)
}

fn lines(source: &'static str, constants: &Constants) -> Vec<Line> {
    // Whether the part that is read holds, for each `#if` and `#for` around it.
    let mut around: Vec<bool> = Vec::new();
    let mut mark = None;
    let mut lines = Vec::new();
    for text in source.lines() {
        if let Some(next) = marked(text) {
            mark = next;
            continue;
        }
        let name = text.trim_start().strip_prefix('#').and_then(|directive| directive.split_whitespace().next());
        let before = if matches!(name, Some("else" | "end")) { around.pop() } else { None };
        let is_used = around.iter().all(|&holds| holds);
        lines.push(Line { text, mark, is_used });
        match name {
            Some("if") => around.push(directive(text, "if").is_some_and(|name| constants.iter().any(|(other, _)| *other == name))),
            Some("for") => around.push(true),
            Some("else") => around.push(!before.expect("an #else follows an #if")),
            Some("insert") => {
                let inserted = directive(text, "insert").map(|stem| self::lines(shaders::source(stem), constants));
                lines.extend(inserted.into_iter().flatten().map(|line| Line { is_used: is_used && line.is_used, ..line }));
            }
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::OpKind;

    /// The kernels whose lines are marked, and what these do. The loss has its sums from `log_sum_exp`.
    const MARKED: [(OpKind, &[Mark]); 8] = [
        (OpKind::Linear, &Mark::ALL),
        (OpKind::LinearGrad, &Mark::ALL),
        (OpKind::LinearWeightGrad, &Mark::ALL),
        (OpKind::Attention, &Mark::ALL),
        (OpKind::AttentionQueryGrad, &Mark::ALL),
        (OpKind::AttentionKeyValueGrad, &Mark::ALL),
        (OpKind::RmsNorm, &Mark::ALL),
        (OpKind::CrossEntropy, &[Mark::Load, Mark::Multiply, Mark::Store]),
    ];

    #[test]
    fn marks_and_conditions_apply_to_the_lines_below() {
        let source = "a\n#if X\n//: load\nx\n#else\ny\n  //: store\n#end\nb\n//:\n#for i in 0..2\nc$i\n#end";
        let line = |text, mark, is_used| Line { text, mark, is_used };
        let expected = vec![
            line("a", None, true),
            line("#if X", None, true),
            line("x", Some(Mark::Load), false),
            line("#else", Some(Mark::Load), true),
            line("y", Some(Mark::Load), true),
            line("#end", Some(Mark::Store), true),
            line("b", Some(Mark::Store), true),
            line("#for i in 0..2", None, true),
            line("c$i", None, true),
            line("#end", None, true),
        ];
        assert_eq!(lines(source, &vec![("Y", 1)]), expected);
        let used: Vec<&str> = lines(source, &vec![("X", 1)]).into_iter().filter(|line| line.is_used).map(|line| line.text).collect();
        assert_eq!(used, ["a", "#if X", "x", "#else", "#end", "b", "#for i in 0..2", "c$i", "#end"]);
    }

    #[test]
    fn constants_are_pieces_of_their_own() {
        let found: Vec<_> = pieces("let x$t = $STEPu * y$[$gu + $QUADS];").collect();
        let expected = [("let x$t = ", None), ("$STEPu", Some("STEP")), (" * y$[$gu + ", None), ("$QUADS", Some("QUADS")), ("];", None)];
        assert_eq!(found, expected);
    }

    /// Every variant of the kernels that matter says what its lines do, and the others say nothing.
    #[test]
    fn the_kernels_that_matter_are_marked() {
        let none: &[Mark] = &[];
        for &kind in OpKind::ALL.iter().filter(|kind| kind.has_kernel()) {
            let marks = MARKED.iter().find(|(other, _)| *other == kind).map_or(none, |(_, marks)| marks);
            for constants in [Constants::new(), vec![("TILED", 1)]] {
                let shader = Shader::new(kind, constants);
                if !shaders::FILES.iter().any(|(stem, _)| *stem == shader.file()) {
                    continue;
                }
                let files = shader.listing();
                for mark in Mark::ALL {
                    let does = |line: &Line| line.mark == Some(mark) && !line.text.trim_start().starts_with(['#', '}']);
                    let is_marked = files.iter().flat_map(|file| &file.lines).any(does);
                    assert_eq!(is_marked, marks.contains(&mark), "{}: {mark:?}", shader.file());
                }
            }
        }
    }

    #[test]
    fn files_come_with_those_that_they_include_and_insert() {
        let shader = Shader::new(OpKind::Linear, vec![("TILED", 1), ("ROW_VEC4S", 2)]);
        let files = shader.listing();
        let stems: Vec<&str> = files.iter().map(|file| file.stem.as_str()).collect();
        assert_eq!(stems, ["linear_tiled", "linear_operands", "weight", "packed_loads", "tensor", "matmul_tile"]);
        assert!(files[0].lines.iter().any(|line| line.mark == Some(Mark::Multiply)), "what is inserted stands where it is");
        assert_eq!(shader.named(), Named { constants: vec![("ROW_VEC4S", 2)], conditions: vec![] });
    }

    #[test]
    fn marks_have_names_and_ends() {
        for (stem, source) in shaders::FILES {
            let marks: Vec<Option<Mark>> = source.lines().filter_map(marked).collect();
            assert!(marks.last().is_none_or(Option::is_none), "{stem}: the last mark has no end");
            assert!(marks.windows(2).all(|pair| pair[0] != pair[1]), "{stem}: a mark is there twice");
        }
    }
}
