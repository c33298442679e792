//! Puts the shaders into the crate, as code alone. A mark stands behind each name that is another in every shader of a text that holds
//! several (src/gpu/joint.rs).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let mut paths: Vec<_> =
        fs::read_dir("shaders").expect("shaders/ is there").map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let texts: BTreeMap<String, String> = paths
        .iter()
        .map(|path| {
            let stem = path.file_stem().expect("a shader has a name").to_str().expect("a shader's name is text");
            let text = stripped(&read(path));
            (stem.to_owned(), text)
        })
        .collect();
    let marked = texts.iter().map(|(stem, text)| format!("    ({stem:?}, {:?}),\n", marked(text, &names(stem, &texts))));
    write("shaders.rs", &format!("&[\n{}]\n", marked.collect::<String>()));
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn write(name: &str, text: &str) {
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join(name);
    fs::write(&out, text).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}

/// Code alone: a comment's words get no marks. No shader has a text in which two slashes could stand.
fn stripped(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code).trim());
    code.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

/// The names behind which a file has a mark: what any shader declares, and the bindings of those that the file is a part of.
fn names<'a>(stem: &str, texts: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    // What binds these is in no text twice.
    let is_alone = |text: &str| text.contains("@binding(0)") || text.contains("@binding(1)");
    if is_alone(&texts[stem]) {
        return BTreeSet::new();
    }
    let shaders = || texts.iter().filter(|(_, text)| !is_alone(text));
    let declared = shaders().flat_map(|(_, text)| text.lines()).filter_map(declaration);
    let wholes = shaders().filter(|(whole, _)| has_part(whole, stem, texts));
    declared.chain(wholes.flat_map(|(_, text)| text.lines()).filter_map(binding)).chain(["params"]).collect()
}

/// Is the file `part` in the text of the file `whole`?
fn has_part(whole: &str, part: &str, texts: &BTreeMap<String, String>) -> bool {
    let mut parts = texts[whole].lines().filter_map(|line| line.strip_prefix("#include "));
    whole == part || parts.any(|other| has_part(other, part, texts))
}

/// The name that a line of a module declares. Constants of functions are written small.
fn declaration(line: &str) -> Option<&str> {
    let (keyword, rest) = line.split_once(' ')?;
    let name = rest.split(is_no_letter).next()?;
    let is_constant = keyword == "const" && name.starts_with(char::is_uppercase);
    (matches!(keyword, "struct" | "fn" | "alias") || is_constant).then_some(name)
}

/// The name of the binding that a line declares.
fn binding(line: &str) -> Option<&str> {
    line.strip_prefix("@group(0)")?.split_once("> ")?.1.split_once(':').map(|(name, _)| name)
}

fn is_no_letter(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

/// With marks behind these names, but not where it is a member's, or where a loop's number makes another of it. A binding is
/// declared by its name instead of its number.
fn marked(text: &str, names: &BTreeSet<&str>) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let declared = binding(line).filter(|name| names.contains(name)).map(|name| {
            let (_, variable) = line.split_once(") ").expect("a number stands in brackets");
            format!("@group(0) @binding({name}) {}", variable.split_once(") ").expect("a binding has a group and a number").1)
        });
        let mut rest = declared.as_deref().unwrap_or(line);
        while let Some(start) = rest.find(|c| !is_no_letter(c)).filter(|_| !line.starts_with('#')) {
            let (before, word) = rest.split_at(start);
            out += before;
            let (word, after) = word.split_at(word.find(is_no_letter).unwrap_or(word.len()));
            let is_field = after.starts_with(": ") && declared.is_none() && !out.ends_with("const ");
            let is_marked = names.contains(word) && !is_field && !out.ends_with(['.', '$']) && !after.starts_with('$');
            out += word;
            out += if is_marked { "~" } else { "" };
            rest = after;
        }
        out += rest;
        out.push('\n');
    }
    out
}
