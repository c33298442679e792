//! Puts the shaders into the crate, without what only people read: a page loads every byte.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let is_for_browsers = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    let mut paths: Vec<_> =
        fs::read_dir("shaders").expect("shaders/ is there").map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let (mut files, mut all) = (String::new(), String::new());
    for path in &paths {
        let stem = path.file_stem().expect("a shader has a name").to_str().expect("a shader's name is text");
        let text = stripped(&fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        let for_browsers = without_subgroups(&text);
        files += &format!("    ({stem:?}, {:?}),\n", if is_for_browsers { &for_browsers } else { &text });
        all += &for_browsers;
    }
    write("shaders.rs", &format!("&[\n{files}]\n"));
    write("shaders.txt", &all);
}

fn write(name: &str, text: &str) {
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says where to write")).join(name);
    fs::write(&out, text).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}

/// Without what is for subgroups, which no browser lends to wgpu.
fn without_subgroups(text: &str) -> String {
    let mut out = String::new();
    // For each condition that is open: is it the one about subgroups, and is this the part that holds without them?
    let mut open: Vec<(bool, bool)> = Vec::new();
    for line in text.lines() {
        let is_about_them = |open: &[(bool, bool)]| open.last().is_some_and(|(is_about_them, _)| *is_about_them);
        let is_dropped = match line.split_whitespace().next() {
            Some("#if" | "#for") => {
                let is_about_them = line == "#if SUBGROUP";
                open.push((is_about_them, !is_about_them));
                is_about_them
            }
            Some("#else") if is_about_them(&open) => {
                open.last_mut().expect("it was looked at").1 = true;
                true
            }
            Some("#end") => open.pop().is_some_and(|(is_about_them, _)| is_about_them),
            _ => false,
        };
        if !is_dropped && open.iter().all(|(_, is_kept)| *is_kept) {
            out += line;
            out.push('\n');
        }
    }
    out
}

/// Without comments, indents and empty lines. No shader has a text in which two slashes could stand.
fn stripped(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code).trim());
    code.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}
