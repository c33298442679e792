//! The source of the shaders. [`gpu`](crate::gpu) makes kernels of it, and the page shows it; a run can also train on it.

use std::sync::LazyLock;

/// The files of `shaders/` by stem, as they are written.
pub(crate) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The code of each file: what kernels are made of. A comment changes no kernel.
static CODE: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|(_, source)| without_comments(source)).collect());

/// A file of `shaders/` as it is written.
///
/// # Panics
/// If there is no file with that stem.
pub(crate) fn source(stem: &str) -> &'static str {
    FILES[place(stem)].1
}

/// The code of a file of `shaders/`, without comments and indentation.
///
/// # Panics
/// If there is no file with that stem.
pub(crate) fn code(stem: &str) -> &'static str {
    &CODE[place(stem)]
}

/// The code of all shaders before loops are unrolled: training data that is always available.
pub fn text() -> String {
    CODE.concat()
}

fn place(stem: &str) -> usize {
    FILES.iter().position(|(name, _)| *name == stem).unwrap_or_else(|| panic!("there is no shader {stem}"))
}

/// WGSL has no string literals that could contain two slashes.
fn without_comments(source: &str) -> String {
    let code = source.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code).trim());
    code.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_part_of_the_code() {
        assert_eq!(without_comments("// a\n  x; // b\n\n//: load\n#if Y // c\n  y;\n"), "x;\n#if Y\ny;\n");
        assert!(!text().contains("//") && FILES.iter().all(|(stem, source)| source.contains(code(stem).lines().next().unwrap())));
    }
}
