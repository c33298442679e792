//! Puts the shaders into the crate, without what only people read: a page loads every byte.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let mut paths: Vec<_> =
        fs::read_dir("shaders").expect("shaders/ is there").map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let shader = |path: &Path| {
        let stem = path.file_stem().expect("a shader has a name").to_str().expect("a shader's name is text");
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        format!("    ({stem:?}, {:?}),\n", stripped(&text))
    };
    let shaders: String = paths.iter().map(|path| shader(path)).collect();
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join("shaders.rs");
    fs::write(&out, format!("&[\n{shaders}]\n")).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}

/// Without comments, indents and empty lines. No shader has a text in which two slashes could stand.
fn stripped(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code).trim());
    code.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}
