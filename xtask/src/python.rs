//! Python packages, in an environment of the project's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Result, run};
use crate::system::{self, Need};

/// Installs what each of these lists of pip's arguments names, and returns the Python that has it.
pub fn with_packages(installs: &[&[&str]]) -> Result<PathBuf> {
    let environment = Path::new("target/fixtures-python");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    system::ensure(&[Need::Python])?;
    run(Command::new(system::PYTHON).args(["-m", "venv"]).arg(environment), "see its output above")?;
    for arguments in installs {
        let mut pip = Command::new(&python);
        run(pip.args(["-m", "pip", "install", "--quiet"]).args(*arguments), "check that Python's package index is reachable")?;
    }
    Ok(python)
}
