//! Checks imports: no circles between the source files of the library, and its top-level modules are layers that import only from those
//! above them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use crate::names::{Dependency, dependencies};
use crate::process::Result;

/// The top-level modules from the first layer to the last, each with the layers above it from which it must not import either.
const LAYERS: [(&str, &[&str]); 9] = [
    ("error", &[]),
    ("shaders", &[]),
    ("model", &[]),
    ("text", &[]),
    ("step", &["text"]),
    ("reference", &[]),
    ("gpu", &["reference", "text"]),
    ("train", &[]),
    ("web", &[]),
];

/// The needs of each file: the files that it imports from, with an imported name each.
type Needs<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// Reads the library and reports all faults of its imports.
pub fn check() -> Result {
    let mut files = Vec::new();
    read_directory(Path::new("src"), &mut files)?;
    let faults = faults(&files)?;
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    match faults.len() {
        0 => Ok(()),
        _ => Err("src has circular or forbidden imports: move shared items to a file that needs none of the others".to_owned()),
    }
}

/// Reads all source files except those of programs, which are crates of their own.
fn read_directory(directory: &Path, files: &mut Vec<(String, String)>) -> Result {
    let unreadable = |error| format!("{} cannot be read: {error}", directory.display());
    let entries = directory.read_dir().map_err(unreadable)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(unreadable)?;
    paths.sort();
    for path in paths {
        if path.is_dir() && path != Path::new("src/bin") {
            read_directory(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            files.push((path.to_string_lossy().replace('\\', "/"), text));
        }
    }
    Ok(())
}

/// A sentence for each circle, and for each forbidden import between layers.
fn faults(files: &[(String, String)]) -> Result<Vec<String>> {
    let all = dependencies(files)?;
    let mut needs = Needs::new();
    for dependency in all.iter().filter(|dependency| dependency.is_need) {
        needs.entry(&dependency.from).or_default().entry(&dependency.to).or_insert(&dependency.name);
    }
    let mut faults: Vec<String> = circles(&needs).iter().map(|circle| sentence(circle, &needs)).collect();
    let unknown: BTreeSet<&str> = files.iter().filter_map(|(file, _)| layer(file)).filter(|layer| place(layer).is_none()).collect();
    faults.extend(unknown.iter().map(|layer| format!("the module `{layer}` has no place among LAYERS in xtask/src/circles.rs")));
    let crossings: BTreeMap<_, _> =
        all.iter().filter_map(|dependency| Some(((&dependency.from, &dependency.to), crossing(dependency)?))).collect();
    faults.extend(crossings.into_values());
    Ok(faults)
}

/// The top-level module of a file; `None` for `lib.rs`, which may import from all.
fn layer(file: &str) -> Option<&str> {
    let name = file.strip_prefix("src/")?.split('/').next()?;
    Some(name.trim_end_matches(".rs")).filter(|name| *name != "lib")
}

/// The index of a top-level module among the layers.
fn place(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|(name, _)| *name == layer)
}

/// A sentence about a forbidden import between layers, if it is one.
fn crossing(dependency: &Dependency) -> Option<String> {
    let Dependency { from, to, name, .. } = dependency;
    let (below, above) = (layer(from)?, layer(to)?);
    let (place, other) = (place(below)?, place(above)?);
    let is_allowed = other <= place && !LAYERS[place].1.contains(&above);
    (!is_allowed).then(|| format!("`{below}` must not import from `{above}`: {from} -> ({name}) {to}"))
}

/// The maximal sets of files that need each other, directly or indirectly.
fn circles<'a>(needs: &Needs<'a>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = needs.keys().map(|file| (*file, reached_from(file, needs))).collect();
    let is_mutual = |a: &str, b: &str| reached[a].contains(b) && reached.get(b).is_some_and(|files| files.contains(a));
    let with = |file: &&'a str| -> Vec<&'a str> { needs.keys().copied().filter(|other| is_mutual(file, other)).collect() };
    // A circle is found from each of its files, but reported once.
    needs.keys().map(|file| (file, with(file))).filter(|(file, circle)| circle.first() == Some(file)).map(|(_, circle)| circle).collect()
}

/// All files that a file needs, directly or indirectly.
fn reached_from<'a>(file: &'a str, needs: &Needs<'a>) -> BTreeSet<&'a str> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![file]);
    while let Some(file) = left.pop() {
        left.extend(needs.get(file).into_iter().flat_map(BTreeMap::keys).copied().filter(|next| reached.insert(*next)));
    }
    reached
}

/// A sentence with the files of a circle, and the shortest chain from one of them back to it.
fn sentence(circle: &[&str], needs: &Needs) -> String {
    let chains = circle.iter().map(|file| chain(file, needs));
    let shortest = chains.min_by_key(Vec::len).expect("a circle has files");
    let steps = shortest.windows(2).map(|files| format!(" -> ({}) {}", needs[files[0]][files[1]], files[1]));
    format!("{} need each other: {}{}", circle.join(", "), shortest[0], steps.collect::<String>())
}

/// The shortest chain from a file of a circle back to it.
fn chain<'a>(file: &'a str, needs: &Needs<'a>) -> Vec<&'a str> {
    let mut left = VecDeque::from([vec![file]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = left.pop_front() {
        for next in needs.get(path[path.len() - 1]).into_iter().flat_map(BTreeMap::keys) {
            let path: Vec<&str> = path.iter().chain([next]).copied().collect();
            if *next == file {
                return path;
            }
            if seen.insert(next) {
                left.push_back(path);
            }
        }
    }
    unreachable!("the file is in a circle")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a library of these files, each a name and a text.
    fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(file, text)| (format!("src/{file}"), (*text).to_owned())).collect();
        faults(&files).unwrap()
    }

    /// The chain of the one circle, without `src/train/`.
    fn chain_of(files: &[(&str, &str)]) -> String {
        let faults = faults_of(files);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].split_once(": ").unwrap().1.replace("src/train/", "")
    }

    const ROOT: (&str, &str) = ("train/mod.rs", "mod a; mod b; pub use a::A; pub use b::{B as C, *};");

    #[test]
    fn files_without_circles_have_no_faults() {
        let files = [ROOT, ("train/a.rs", "use super::C; pub struct A(C);"), ("train/b.rs", "pub struct B;")];
        assert_eq!(faults_of(&files), [""; 0]);
    }

    #[test]
    fn a_circle_is_reported_with_its_chain() {
        let files = [("train/a.rs", "use super::b::B; pub struct A;"), ("train/b.rs", "pub struct B(crate::train::a::A);")];
        let chain = "src/train/a.rs -> (B) src/train/b.rs -> (A) src/train/a.rs";
        assert_eq!(faults_of(&files), [format!("src/train/a.rs, src/train/b.rs need each other: {chain}")]);
    }

    #[test]
    fn names_are_followed_to_their_definitions() {
        let b = ("train/b.rs", "use super::A; pub struct B(A); pub fn made() {}");
        let uses = [
            ("use crate::train::C as D;", "B"),
            ("fn f() { super::C::new() }", "B"),
            ("use super::{self as train}; fn f(_: train::C) {}", "B"),
            ("use super::*; fn f() { made() }", "made"),
            ("fn f() { assert!(super::made().is_some()) }", "made"),
            ("fn f() { if let Some(crate::train::b::B) = x {} }", "B"),
            ("fn f() { crate::train::b::generated() }", "generated"),
        ];
        for (text, name) in uses {
            let a = format!("{text} pub struct A;");
            assert_eq!(chain_of(&[ROOT, ("train/a.rs", &a), b]), format!("a.rs -> ({name}) b.rs -> (A) a.rs"), "{text}");
        }
    }

    #[test]
    fn re_exported_items_are_not_needed() {
        let b = ("train/b.rs", "use super::A;");
        let root = ("train/mod.rs", "mod a; mod b; pub use a::A; pub const ONE: u32 = 1;");
        assert_eq!(faults_of(&[root, ("train/a.rs", "use super::ONE; pub struct A;"), b]), [""; 0]);
        let root = ("train/mod.rs", "mod a; mod b; pub use a::A; pub const ONE: A = A;");
        assert_eq!(chain_of(&[root, ("train/a.rs", "use super::ONE; pub struct A;"), b]), "a.rs -> (ONE) mod.rs -> (A) a.rs");
    }

    #[test]
    fn tests_may_use_anything() {
        let files = [
            ("train/a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::train::b::B; } #[cfg(all(test, unix))] use super::b::B;"),
            ("train/b.rs", "pub struct B(super::a::A); #[cfg(test)] mod more;"),
            ("train/b/more.rs", "use crate::web::Page;"),
        ];
        assert_eq!(faults_of(&files), [""; 0]);
    }

    #[test]
    fn macros_belong_to_the_files_that_define_them() {
        let root = ("train/mod.rs", "macro_rules! list { () => {} } mod a; pub fn all() { a::A }");
        assert_eq!(chain_of(&[root, ("train/a.rs", "list! { Glu { x } }")]), "a.rs -> (list!) mod.rs -> (A) a.rs");
        let exported = ("train/b.rs", "#[macro_export] macro_rules! for_each { () => { $crate::train::a::A } }");
        let a = ("train/a.rs", "crate::for_each!(list); pub struct A;");
        assert_eq!(chain_of(&[("lib.rs", ""), a, exported]), "a.rs -> (for_each!) b.rs -> (A) a.rs");
    }

    #[test]
    fn a_function_may_have_the_name_of_a_module() {
        let root = ("train/mod.rs", "mod merge; mod a; pub use merge::merge; pub use a::half::half;");
        let merge = ("train/merge.rs", "pub struct Other; pub fn merge() { super::a::f() }");
        for (signature, name) in [("f() { super::merge() }", "merge"), ("f(_: super::merge::Other) {}", "Other")] {
            let a = format!("use half::half; pub fn {signature}");
            assert_eq!(chain_of(&[root, merge, ("train/a.rs", &a)]), format!("a.rs -> ({name}) merge.rs -> (f) a.rs"));
        }
    }

    #[test]
    fn layers_import_from_those_above() {
        let error = ("error.rs", "pub struct Error;");
        let files = [error, ("lib.rs", "pub use train::Task;"), ("train.rs", "use crate::error::Error; pub struct Task;")];
        assert_eq!(faults_of(&files), [""; 0]);
        let files = [("text.rs", "pub struct Text;"), ("step/mod.rs", "pub use crate::text::Text;"), ("gpu.rs", "use crate::step::Text;")];
        let faults = faults_of(&files);
        assert!(faults[0].starts_with("`gpu` must not import from `text`: src/gpu.rs -> (Text)"), "{faults:?}");
        assert!(faults[1].starts_with("`step` must not import from `text`: src/step/mod.rs -> (Text)"), "{faults:?}");
        assert!(faults_of(&[("new/mod.rs", "")])[0].contains("`new` has no place"));
    }
}
