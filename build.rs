//! Embeds the shaders in the crate, as they are written.

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
        format!("    ({stem:?}, {text:?}),\n")
    });
    let list = format!("&[\n{}]\n", entries.collect::<String>());
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join("shaders.rs");
    fs::write(&out, list).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}
