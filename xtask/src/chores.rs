//! The chores that need no more than cargo or Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::circles;
use crate::process::{Result, cargo, output_of, phase, run};
use crate::system::{self, Need};
use crate::tools;

/// Something that reads the code alone, with its name.
type Lint = (&'static str, fn() -> Result);

/// Formatting, the order of the files, and lints for both targets.
pub const LINTS: [Lint; 4] =
    [("formatting", format), ("circles", circles::check), ("lints", lint_natively), ("lints for the browser", lint_for_browsers)];

/// The lints and the unit tests.
pub fn check() -> Result {
    LINTS.iter().try_for_each(|(name, lint)| phase(name, lint))?;
    phase("unit tests", || run(&mut cargo(&["test", "--lib"]), "mend the failing tests named above"))
}

/// Every file by its path: modules that a macro declares are not found by `cargo fmt`.
fn format() -> Result {
    rustfmt(&["--check"], "run `cargo xtask fmt`")
}

/// Formats every file.
pub fn fmt() -> Result {
    rustfmt(&[], "mend what it cannot read")
}

/// Runs rustfmt on all of them. Its command is too long to be shown.
fn rustfmt(arguments: &[&str], advice: &str) -> Result {
    let mut files = Vec::new();
    rust_files(Path::new("."), &mut files).map_err(|error| format!("the project's files cannot be listed: {error}"))?;
    let status = Command::new("rustfmt").args(["--edition", "2024"]).args(arguments).args(files).status();
    match status.map_err(|error| format!("rustfmt cannot be run: {error}; install it with `rustup component add rustfmt`"))? {
        status if status.success() => Ok(()),
        _ => Err(format!("the formatting is another than rustfmt's; {advice}")),
    }
}

/// Every Rust file below a directory, but none that a build or a package manager put there.
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

fn lint_natively() -> Result {
    lint(&["--workspace", "--all-targets"])
}

fn lint_for_browsers() -> Result {
    tools::ensure_target()?;
    lint(&["--lib", "--bin", "page", "--bin", "librarian", "--target", tools::TARGET])
}

fn lint(selection: &[&str]) -> Result {
    run(cargo(&["clippy"]).args(selection).args(["--", "--deny", "warnings"]), "mend the warnings above")
}

/// Runs the script that makes the gradients from PyTorch, in an environment of its own.
pub fn fixtures(arguments: &[&str]) -> Result {
    let environment = Path::new("target/fixtures-python");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    phase("set-up", || {
        system::ensure(&[Need::Python])?;
        run(Command::new(system::PYTHON).args(["-m", "venv"]).arg(environment), "see what it says above")?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement", "tests/fixtures/requirements.txt"];
        run(Command::new(&python).args(install), "see that Python's package index can be reached")
    })?;
    phase("fixtures", || run(Command::new(&python).arg("tests/fixtures/make_fixtures.py").args(arguments), "see what it says above"))
}

/// Runs every fuzz target for so many seconds, from a good input on.
pub fn fuzz(seconds: &str) -> Result {
    let seconds: u32 = seconds.parse().map_err(|_| format!("`{seconds}` is no number of seconds"))?;
    let manifest = ["--manifest-path", "fuzz/Cargo.toml"];
    phase("set-up", || {
        if output_of(&mut cargo(&["fuzz", "--version"])).is_none() {
            run(&mut cargo(&["install", "cargo-fuzz", "--locked"]), "see what it says above")?;
        }
        run(cargo(&["run", "--quiet", "--example", "seeds"]).args(manifest), "mend the error above")
    })?;
    let list = cargo_fuzz(&["list"]).output().map_err(|error| format!("cargo fuzz cannot be run: {error}"))?;
    for target in String::from_utf8_lossy(&list.stdout).split_whitespace() {
        let time = format!("-max_total_time={seconds}");
        // Without AddressSanitizer: there is no unsafe code in what is fuzzed, and panics are found without it.
        let arguments = ["run", "--sanitizer", "none", target, "--", &time, "-timeout=10", "-rss_limit_mb=4096"];
        phase(target, || run(&mut cargo_fuzz(&arguments), "mend what it found; the input is in fuzz/artifacts"))?;
    }
    Ok(())
}

/// Coverage takes a compiler flag that a stable compiler has only if told so.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}
