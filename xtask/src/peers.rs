//! The benchmark against other trainers, which has a folder and a workspace of its own.

use std::path::Path;
use std::process::Command;

use crate::process::{Result, cargo, phase, run};
use crate::runtime::RuntimeDirectory;
use crate::system::{self, Need};
use crate::tools;

const DIRECTORY: &str = "peers";
const MANIFEST: [&str; 2] = ["--manifest-path", "peers/Cargo.toml"];

/// Builds all contestants, and lets them train side by side. The table is in `peers/results.md` then.
pub fn peers(arguments: &[&str]) -> Result {
    let wasm_bindgen = phase("set-up", || {
        system::ensure(&[Need::Vulkan, Need::Chromium, Need::Node])?;
        tools::ensure_target()?;
        tools::ensure_wasm_bindgen()
    })?;
    phase("packages", || {
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new(system::npm()?).args(install).current_dir(DIRECTORY), "see that the packages' registry can be reached")
    })?;
    phase("build, natively", || run(cargo(&["build", "--release"]).args(MANIFEST), "mend the error above"))?;
    phase("build, for the browser", || build_for_browser(&wasm_bindgen))?;
    phase("task", || run(Command::new("peers/target/release/ours").args(["export", "peers/task"]), "see what it says above"))?;
    phase("tests of the driver", || run(&mut node(&["--test"])?, "mend the failing tests named above"))?;
    phase("race", || {
        let runtime = RuntimeDirectory::ensure()?;
        let mut race = node(&[&["run.mjs"], arguments].concat())?;
        run(runtime.give_to(race.env("CHROMIUM", system::chromium()?)), "see what it says above")
    })
}

fn build_for_browser(wasm_bindgen: &Path) -> Result {
    let selection = ["build", "--release", "--package", "peers-ours", "--lib", "--target", tools::TARGET];
    run(cargo(&selection).args(MANIFEST), "mend the error above")?;
    let library = Path::new("peers/target").join(tools::TARGET).join("release/peers_ours.wasm");
    let flags = ["--target", "web", "--no-typescript", "--out-dir", "peers/web/ours"];
    run(Command::new(wasm_bindgen).args(flags).arg(library), "see what it says above")
}

fn node(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(system::node()?);
    command.args(arguments).current_dir(Path::new(DIRECTORY).join("driver"));
    Ok(command)
}
