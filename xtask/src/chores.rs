//! The chores that need no more than cargo or Python.

use std::path::Path;
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

fn format() -> Result {
    run(&mut cargo(&["fmt", "--all", "--check"]), "run `cargo fmt --all`")
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
