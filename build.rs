//! Embeds the shaders in the crate, without comments.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let mut paths: Vec<_> =
        fs::read_dir("shaders").expect("shaders/ is there").map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let entries = paths.iter().map(|path| {
        let stem = path.file_stem().expect("a shader has a name").to_str().expect("a shader's name is text");
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        format!("    ({stem:?}, {:?}),\n", code(&text))
    });
    let list = format!("&[\n{}]\n", entries.collect::<String>());
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join("shaders.rs");
    fs::write(&out, list).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}

/// The code of a shader without comments. WGSL has no string literals that could contain two slashes.
fn code(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code).trim());
    code.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}
