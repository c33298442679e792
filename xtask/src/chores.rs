//! The chores that need no more than cargo or Python.

use std::path::Path;
use std::process::Command;

use crate::process::{Result, cargo, phase, run};
use crate::system::{self, Need};
use crate::tools;

/// Formatting, lints for both targets, unit tests.
pub fn check() -> Result {
    phase("formatting", || run(&mut cargo(&["fmt", "--all", "--check"]), "run `cargo fmt --all`"))?;
    phase("lints", || lint(&["--workspace", "--all-targets"]))?;
    phase("lints for the browser", || {
        tools::ensure_target()?;
        lint(&["--lib", "--bin", "page", "--bin", "librarian", "--target", tools::TARGET])
    })?;
    phase("unit tests", || run(&mut cargo(&["test", "--lib"]), "mend the failing tests named above"))
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
