//! The benchmark against other trainers, which has its own folder and workspace.

use std::path::Path;
use std::process::Command;

use crate::process::{Result, cargo, phase, run};
use crate::runtime::RuntimeDirectory;
use crate::system::{self, Need};
use crate::tools;

const DIRECTORY: &str = "peers";
const MANIFEST: [&str; 2] = ["--manifest-path", "peers/Cargo.toml"];

/// Builds the selected contestants and runs the benchmark. It writes the table to `peers/results.md`.
pub fn peers(arguments: &[&str]) -> Result {
    system::ensure(&[Need::Node])?;
    let contestants = contestants(arguments)?;
    let in_browser = contestants.iter().any(|line| line.starts_with("browser "));
    phase("set-up", || system::ensure(if in_browser { &[Need::Vulkan, Need::Chromium] } else { &[Need::Vulkan] }))?;
    phase("packages", || {
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new(system::npm()?).args(install).current_dir(DIRECTORY), "check that the package registry is reachable")
    })?;
    phase("native build", || {
        // Our own trainer is always needed: it exports the task.
        let mut build = cargo(&["build", "--release", "--package", "peers-ours"]);
        if contestants.iter().any(|line| line == "native burn") {
            build.args(["--package", "peers-burn"]);
        }
        run(build.args(MANIFEST), "fix the error above")
    })?;
    if in_browser {
        phase("build for the browser", build_for_browser)?;
    }
    phase("task", || run(Command::new("peers/target/release/ours").args(["export", "peers/task"]), "see its output above"))?;
    phase("tests of the driver", || run(&mut node(&["--test"])?, "fix the failing tests above"))?;
    phase("benchmark", || {
        let runtime = RuntimeDirectory::ensure()?;
        let mut benchmark = node(&[&["run.mjs"], arguments].concat())?;
        if in_browser {
            benchmark.env("CHROMIUM", system::chromium()?);
        }
        run(runtime.give_to(&mut benchmark), "see its output above")
    })
}

/// The selected contestants, as printed by the driver: the place and the peer on each line.
fn contestants(arguments: &[&str]) -> Result<Vec<String>> {
    let output = node(&[&["needed.mjs"], arguments].concat())?.output().map_err(|error| format!("node cannot be run: {error}"))?;
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<String>>();
    if output.status.success() { Ok(lines(&output.stdout)) } else { Err(lines(&output.stderr).join("\n")) }
}

fn build_for_browser() -> Result {
    tools::ensure_target()?;
    let wasm_bindgen = tools::ensure_wasm_bindgen()?;
    let selection = ["build", "--release", "--package", "peers-ours", "--lib", "--target", tools::TARGET];
    run(cargo(&selection).args(MANIFEST), "fix the error above")?;
    let library = Path::new("peers/target").join(tools::TARGET).join("release/peers_ours.wasm");
    let flags = ["--target", "web", "--no-typescript", "--out-dir", "peers/web/ours"];
    run(Command::new(wasm_bindgen).args(flags).arg(library), "see its output above")
}

fn node(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(system::node()?);
    command.args(arguments).current_dir(Path::new(DIRECTORY).join("driver"));
    Ok(command)
}
