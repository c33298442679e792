//! Chores that need only cargo or Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::circles;
use crate::jobs::{Job, failed_lints, run_side_by_side};
use crate::page;
use crate::process::{Result, cargo, output_of, phase, run};
use crate::python;
use crate::tools;

/// A lint that takes seconds, with its name.
pub type QuickLint = (&'static str, fn() -> Result);

/// Formatting, and import circles.
pub const QUICK_LINTS: [QuickLint; 2] = [("formatting", format), ("circles", circles::check)];

/// What compiles outside the workspace and uses its crate: the fuzz targets, and this project among its peers.
pub const OTHER_WORKSPACES: QuickLint = ("other workspaces", || {
    let check = |(manifest, package)| {
        let mut command = cargo(&["check", "--all-targets", "--manifest-path", manifest, "--package", package]);
        run(&mut command, "fix the error above")
    };
    [("fuzz/Cargo.toml", "streambp-fuzz"), ("peers/Cargo.toml", "peers-ours")].into_iter().try_for_each(check)
});

/// Lints for both targets, and documentation lints. The lints for browsers use the profile of the page: they do not wait for native builds,
/// and the page's build reuses their output.
pub fn lints() -> Result<Vec<Job>> {
    tools::ensure_target()?;
    let deny = ["--", "--deny", "warnings"];
    let native = cargo_with(&["clippy", "--workspace", "--all-targets"], &deny);
    let target = ["clippy", "--lib", "--bin", "page", "--bin", "model_worker", "--target", tools::TARGET, "--profile", page::QUICK];
    let browser = cargo_with(&target, &deny);
    let mut documentation = cargo(&["doc", "--lib", "--no-deps", "--quiet"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    let lint = |name: &str, minutes, command| {
        let advice = "fix the warnings above".to_owned();
        Job { name: name.to_owned(), minutes, command, advice, is_lint: true }
    };
    Ok(vec![lint("lints", 1.0, native), lint("lints for the browser", 1.5, browser), lint("documentation", 0.5, documentation)])
}

fn cargo_with(arguments: &[&str], more: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.args(more);
    command
}

/// The lints and the unit tests.
pub fn check() -> Result {
    QUICK_LINTS.iter().try_for_each(|(name, lint)| phase(name, lint))?;
    run_side_by_side(lints()?)?;
    if failed_lints() > 0 {
        return Err("there are warnings: fix those above".to_owned());
    }
    phase("unit tests", || run(&mut cargo(&["test", "--lib"]), "fix the failing tests above"))
}

/// Checks the formatting of every file by its path, because `cargo fmt` does not find modules that a macro declares.
fn format() -> Result {
    rustfmt(&["--check"], "run `cargo xtask fmt`")
}

/// Formats every file.
pub fn fmt() -> Result {
    rustfmt(&[], "fix the syntax errors above")
}

/// Runs rustfmt on all Rust files. The command is too long to be shown.
fn rustfmt(arguments: &[&str], advice: &str) -> Result {
    let mut files = Vec::new();
    rust_files(Path::new("."), &mut files).map_err(|error| format!("the project's files cannot be listed: {error}"))?;
    let status = Command::new("rustfmt").args(["--edition", "2024"]).args(arguments).args(files).status();
    match status.map_err(|error| format!("rustfmt cannot be run: {error}; install it with `rustup component add rustfmt`"))? {
        status if status.success() => Ok(()),
        _ => Err(format!("the formatting differs from rustfmt's; {advice}")),
    }
}

/// All Rust files below a directory, except those of builds and package managers.
fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map_or("", |name| name.to_str().unwrap_or(""));
        if path.is_dir() && !matches!(name, "target" | "node_modules" | "dist") && !name.starts_with('.') {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Checks that the package builds on its own, and that the crate builds with the Rust version of Cargo.toml.
pub fn package() -> Result {
    phase("package", || run(&mut cargo(&["package", "--package", "streambp"]), "fix the error above"))?;
    let version = minimum_rust_version()?;
    phase("minimum Rust", || {
        let toolchain = ["toolchain", "install", &version, "--profile", "minimal", "--no-self-update"];
        run(Command::new("rustup").args(toolchain), "install rustup: it has every version of Rust")?;
        let mut command = Command::new("rustup");
        command.args(["run", &version, "cargo", "check", "--all-targets", "--target-dir", "target/minimum-rust"]);
        run(
            command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO"),
            "raise rust-version in Cargo.toml, or avoid what is newer",
        )
    })
}

/// `rust-version` in Cargo.toml.
fn minimum_rust_version() -> Result<String> {
    let text = std::fs::read_to_string("Cargo.toml").map_err(|error| format!("Cargo.toml cannot be read: {error}"))?;
    let found = text.lines().find_map(|line| line.strip_prefix("rust-version = "));
    found.map(|version| version.trim_matches('"').to_owned()).ok_or_else(|| "Cargo.toml has no rust-version: add it".to_owned())
}

/// Runs the script that computes gradients with PyTorch, in its own Python environment.
pub fn fixtures(arguments: &[&str]) -> Result {
    let python = phase("set-up", || python::with_packages(&[&["--requirement", "tests/fixtures/requirements.txt"]]))?;
    phase("fixtures", || run(Command::new(&python).arg("tests/fixtures/make_fixtures.py").args(arguments), "see its output above"))
}

/// Runs every fuzz target for `seconds` seconds, starting from valid inputs.
pub fn fuzz(seconds: &str) -> Result {
    let seconds: u32 = seconds.parse().map_err(|_| format!("`{seconds}` is not a number of seconds"))?;
    for target in fuzz_targets()? {
        let time = format!("-max_total_time={seconds}");
        // Without AddressSanitizer: the fuzzed code has no unsafe code, and panics are found without it.
        let arguments = ["run", "--sanitizer", "none", &target, "--", &time, "-timeout=10", "-rss_limit_mb=4096"];
        phase(&target, || run(&mut cargo_fuzz(&arguments), "fix what it found; the input is in fuzz/artifacts"))?;
    }
    Ok(())
}

/// Gets cargo-fuzz, writes the valid inputs, and returns the names of all targets.
pub fn fuzz_targets() -> Result<Vec<String>> {
    phase("set-up of the fuzzing", || {
        if output_of(&mut cargo(&["fuzz", "--version"])).is_none() {
            run(&mut cargo(&["install", "cargo-fuzz", "--locked"]), "see its output above")?;
        }
        run(&mut cargo(&["run", "--quiet", "--example", "seeds", "--manifest-path", "fuzz/Cargo.toml"]), "fix the error above")
    })?;
    let list = cargo_fuzz(&["list"]).output().map_err(|error| format!("cargo fuzz cannot be run: {error}"))?;
    Ok(String::from_utf8_lossy(&list.stdout).split_whitespace().map(str::to_owned).collect())
}

/// A command of cargo-fuzz. Coverage needs an unstable compiler flag, which a stable compiler accepts only with RUSTC_BOOTSTRAP.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}
