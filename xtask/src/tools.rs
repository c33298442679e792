//! The tools that build the page: rustc's wasm32 target, Trunk and wasm-bindgen, in the project's versions.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::jobs::{Job, run_side_by_side};
use crate::process::{Result, cargo, find_program, output_of, run};

/// The target of the page.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Trunk, and a PATH on which it finds the right wasm-bindgen.
pub struct Toolchain {
    trunk: PathBuf,
    path: OsString,
}

impl Toolchain {
    /// Finds the tools, or installs them in a directory of the project. Tools that must be built are built in parallel with `other_jobs`,
    /// such as the page's programs, which Trunk then finds built.
    pub fn ensure(other_jobs: Vec<Job>) -> Result<Toolchain> {
        ensure_target()?;
        // Trunk runs offline, so fetch all crates of the lock file before: it resolves the crates of every platform.
        run(&mut cargo(&["fetch", "--quiet"]), "check that the crate registry is reachable")?;
        let (trunk, wasm_bindgen) = (Tool::trunk()?, Tool::wasm_bindgen()?);
        install(&[&trunk, &wasm_bindgen], other_jobs)?;
        Ok(Toolchain { trunk: trunk.installed()?, path: path_with(wasm_bindgen.installed()?.parent())? })
    }

    /// A command of Trunk.
    pub fn trunk(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.trunk);
        // Trunk expects NO_COLOR to be `true` or `false`, and rejects the customary `1`.
        command.arg("--skip-version-check").args(arguments).env("PATH", &self.path).env_remove("NO_COLOR");
        command
    }
}

/// Finds or installs wasm-bindgen, in the version of the crate.
pub fn ensure_wasm_bindgen() -> Result<PathBuf> {
    let tool = Tool::wasm_bindgen()?;
    install(&[&tool], Vec::new())?;
    tool.installed()
}

/// Installs the standard library of the page's target.
pub fn ensure_target() -> Result {
    let sysroot = output_of(Command::new("rustc").args(["--print", "sysroot"])).ok_or("rustc cannot be run: install Rust with rustup")?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", TARGET]), "install rustc's standard library for this target yourself")
}

/// A program from a crate registry, in a fixed version.
struct Tool {
    package: &'static str,
    program: &'static str,
    version: String,
    flags: &'static [&'static str],
    /// The duration of its build in minutes, on two cores.
    minutes: f32,
}

impl Tool {
    /// Trunk without its download features, since it runs offline.
    fn trunk() -> Result<Tool> {
        let version = trunk_setting("trunk-version")?.trim_start_matches('=').to_owned();
        let flags = ["--locked", "--no-default-features"].as_slice();
        Ok(Tool { package: "trunk", program: "trunk", version, flags, minutes: 3.0 })
    }

    fn wasm_bindgen() -> Result<Tool> {
        // Without --locked, because its published lock file names a crate that a mirror of the registry may lack. Without its test runner,
        // which downloads browser drivers.
        let (version, flags) = (wasm_bindgen_version()?, ["--bin", "wasm-bindgen", "--no-default-features"].as_slice());
        Ok(Tool { package: "wasm-bindgen-cli", program: "wasm-bindgen", version, flags, minutes: 1.0 })
    }

    /// Its path, in PATH or among the project's own tools.
    fn find(&self) -> Option<PathBuf> {
        let own = tools_directory().ok()?.join("bin").join(self.program).with_extension(std::env::consts::EXE_EXTENSION);
        find_program(&[self.program]).into_iter().chain([own]).find(|path| version_of(path).as_deref() == Some(&self.version))
    }

    fn installed(&self) -> Result<PathBuf> {
        self.find().ok_or_else(|| format!("{} was installed, but its `--version` is not {}: see its output", self.program, self.version))
    }

    /// Its name and version, as in registry commands.
    fn specification(&self) -> String {
        format!("{}@{}", self.package, self.version)
    }

    fn build(&self) -> Result<Job> {
        let specification = self.specification();
        // With --force: the program is missing or does not run here, whatever the list of installed programs says.
        let mut command = cargo(&["install", &specification, "--force"]);
        command.args(self.flags).arg("--root").arg(tools_directory()?).envs(FAST_BUILD);
        let advice = format!("fix the error above, or install {} {} yourself", self.package, self.version);
        Ok(Job { name: format!("{} {}", self.package, self.version), minutes: self.minutes, command, advice, is_lint: false })
    }
}

/// Build settings of tools: they are built once and run for seconds, and their own release profiles take three times as long to build.
const FAST_BUILD: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
];

/// Installs missing tools, in parallel with the other builds.
fn install(tools: &[&Tool], other_jobs: Vec<Job>) -> Result {
    let missing = || tools.iter().copied().filter(|tool| tool.find().is_none());
    install_prebuilt(&missing().map(Tool::specification).collect::<Vec<_>>())?;
    let builds = missing().map(Tool::build).collect::<Result<Vec<Job>>>()?;
    let jobs: Vec<Job> = other_jobs.into_iter().chain(builds).collect();
    if jobs.is_empty() { Ok(()) } else { run_side_by_side(jobs) }
}

/// Installs prebuilt programs if cargo-binstall is available. There are none for some platforms, and some do not run here; the rest is
/// built afterwards.
fn install_prebuilt(specifications: &[String]) -> Result {
    // -V prints its own version; --version selects a package's.
    if specifications.is_empty() || output_of(&mut cargo(&["binstall", "-V"])).is_none() {
        return Ok(());
    }
    println!("Installing prebuilt {}: this takes seconds.", specifications.join(" and "));
    let mut binstall = cargo(&["binstall", "--no-confirm", "--disable-strategies", "compile", "--root"]);
    if let Err(sentence) = run(binstall.arg(tools_directory()?).args(specifications), "building it instead") {
        println!("{sentence}");
    }
    Ok(())
}

/// The directory of the project's own tools: it survives cleaning `target`, and all checkouts share it.
fn tools_directory() -> Result<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    Ok(cargo_home.ok_or("there is no home directory: set CARGO_HOME")?.join("streambp-tools"))
}

/// The version that a program prints: 0.21.14 for `trunk 0.21.14`.
fn version_of(program: &Path) -> Option<String> {
    let output = output_of(Command::new(program).arg("--version").env_remove("NO_COLOR"))?;
    output.split_whitespace().nth(1).map(str::to_owned)
}

/// A value from Trunk.toml.
pub fn trunk_setting(key: &str) -> Result<String> {
    let text = read("Trunk.toml")?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let mut values = lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().trim_matches('"').to_owned());
    values.next().ok_or_else(|| format!("Trunk.toml has no `{key}`: add it"))
}

/// The version of the wasm-bindgen crate in the lock file, which the program must match.
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
