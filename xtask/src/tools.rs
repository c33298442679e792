//! What turns the crate into a page: the wasm32 target of rustc, Trunk and wasm-bindgen, in the versions that the project names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Result, cargo, find_program, output_of, run};

/// The page's target.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Trunk, and a PATH on which it finds the right wasm-bindgen.
pub struct Toolchain {
    trunk: PathBuf,
    path: OsString,
}

impl Toolchain {
    /// Finds the tools, or installs them where no other project's are replaced.
    pub fn ensure() -> Result<Toolchain> {
        ensure_target()?;
        let trunk = ensure_tool("trunk", &trunk_version()?, &["--locked"], "about 8 minutes on two cores")?;
        let wasm_bindgen = ensure_wasm_bindgen()?;
        // Trunk is told to stay offline, so whatever the lock file names has to be here before: it asks about every platform's crates.
        run(&mut cargo(&["fetch", "--quiet"]), "see that the crates' registry can be reached")?;
        Ok(Toolchain { trunk, path: path_with(wasm_bindgen.parent())? })
    }

    /// A command of Trunk's.
    pub fn trunk(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.trunk);
        // Trunk takes NO_COLOR for a flag that must be `true` or `false`, and stops at the customary `1`.
        command.arg("--skip-version-check").args(arguments).env("PATH", &self.path).env_remove("NO_COLOR");
        command
    }
}

/// The program that makes what JavaScript loads, of the same version as the crate.
pub fn ensure_wasm_bindgen() -> Result<PathBuf> {
    // Without --locked: the lock file published with it names a crate that a mirror of the registry may not have yet.
    ensure_tool("wasm-bindgen", &wasm_bindgen_version()?, &[], "about 2 minutes on two cores")
}

/// Gives rustc the standard library of the page's target.
pub fn ensure_target() -> Result {
    let sysroot = output_of(Command::new("rustc").args(["--print", "sysroot"])).ok_or("rustc cannot be run: install Rust with rustup")?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", TARGET]), "install rustc's standard library for this target yourself")
}

/// The path of a program in just that version.
fn ensure_tool(program: &str, version: &str, install_flags: &[&str], duration: &str) -> Result<PathBuf> {
    let directory = tools_directory()?;
    let own = directory.join("bin").join(program).with_extension(std::env::consts::EXE_EXTENSION);
    let found = find_program(&[program]).into_iter().chain([own.clone()]).find(|path| version_of(path).as_deref() == Some(version));
    if let Some(path) = found {
        return Ok(path);
    }
    let package = if program == "wasm-bindgen" { "wasm-bindgen-cli" } else { program };
    println!("Building {package} {version}, once: this takes {duration}.");
    let mut install = cargo(&["install", package, "--version", version]);
    install.args(install_flags).arg("--root").arg(&directory);
    run(&mut install, &format!("mend what stopped it, or install {package} {version} yourself"))?;
    Ok(own)
}

/// Tools of the project's own, beside cargo's: kept when `target` is cleaned, and shared by all checkouts.
fn tools_directory() -> Result<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    Ok(cargo_home.ok_or("there is no home directory: set CARGO_HOME")?.join("streambp-tools"))
}

/// `trunk 0.21.14` says 0.21.14.
fn version_of(program: &Path) -> Option<String> {
    let output = output_of(Command::new(program).arg("--version").env_remove("NO_COLOR"))?;
    output.split_whitespace().nth(1).map(str::to_owned)
}

fn trunk_version() -> Result<String> {
    trunk_setting("trunk-version").map(|version| version.trim_start_matches('=').to_owned())
}

/// A value from Trunk.toml.
pub fn trunk_setting(key: &str) -> Result<String> {
    let text = read("Trunk.toml")?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let mut values = lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().trim_matches('"').to_owned());
    values.next().ok_or_else(|| format!("Trunk.toml has no `{key}`: add it"))
}

/// The program must be of the same version as the crate that the page is linked with.
fn wasm_bindgen_version() -> Result<String> {
    locked_version(&read("Cargo.lock")?, "wasm-bindgen")
        .ok_or_else(|| "Cargo.lock has no wasm-bindgen: run `cargo update --workspace`".to_owned())
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let version = lock.lines().skip_while(|line| *line != name).nth(1)?;
    Some(version.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"))
}

fn path_with(first: Option<&Path>) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = first.map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(directories).map_err(|error| format!("PATH has an entry that cannot be passed on: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_found_by_the_whole_name() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
