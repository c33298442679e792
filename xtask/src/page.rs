//! Builds and serves the page.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::jobs::Job;
use crate::process::{Result, cargo, durations, phase, run};
use crate::tools::{self, Toolchain, trunk_setting};

const BUILD_ADVICE: &str = "fix the error above";

/// The profile of Cargo.toml for a small page, to be shipped.
pub const SHIPPED: &str = "page";

/// The profile that builds in a fraction of the time, for development and tests.
pub const QUICK: &str = "page-dev";

/// The duration of the first build of the page's programs in minutes, on two cores.
fn minutes(profile: &str) -> f32 {
    if profile == QUICK { 3.0 } else { 6.0 }
}

/// Builds the page's programs with the same flags as Trunk, so that Trunk finds them built.
pub fn programs(profile: &str) -> Job {
    let target = format!("--target={}", tools::TARGET);
    let command = cargo(&["build", &target, "--profile", profile, "--offline", "--bin", "page", "--bin", "model_worker"]);
    Job { name: "the page's programs".to_owned(), minutes: minutes(profile), command, advice: BUILD_ADVICE.to_owned(), is_lint: false }
}

/// Builds the page with a profile of Cargo.toml into a directory.
pub fn build(toolchain: &Toolchain, profile: &str, directory: &Path) -> Result {
    bundle(toolchain, profile, &["--dist".as_ref(), directory.as_os_str()])
}

/// Runs Trunk, which bundles the page and compiles what has changed.
fn bundle(toolchain: &Toolchain, profile: &str, arguments: &[&OsStr]) -> Result {
    println!("Bundling the page: seconds if its programs are built, otherwise about {} minutes on two cores.", minutes(profile));
    run(toolchain.trunk(&["build", "--release", "--cargo-profile", profile]).args(arguments), BUILD_ADVICE)
}

/// Builds the page into `dist`, for a static host.
pub fn build_for_host() -> Result {
    let directory = Path::new("dist");
    let toolchain = phase("set-up", || Toolchain::ensure(vec![programs(SHIPPED)]))?;
    phase("build", || build(&toolchain, SHIPPED, directory))?;
    println!("{}", durations());
    println!("The page is in {}: copy these files to any directory of a static host with https.", directory.display());
    Ok(())
}

/// Builds and serves the page until interrupted, and rebuilds it when a source changes.
pub fn serve(port: Option<&str>) -> Result {
    let port = free_port(port)?;
    let toolchain = phase("set-up", || Toolchain::ensure(vec![programs(QUICK)]))?;
    // Trunk serves even a page that fails to build, so build it once before.
    phase("build", || bundle(&toolchain, QUICK, &[]))?;
    println!("{}", durations());
    announce(port);
    run(&mut toolchain.trunk(&["serve", "--release", "--cargo-profile", QUICK, "--port", &port.to_string()]), "see its output above")
}

fn free_port(port: Option<&str>) -> Result<u16> {
    let text = port.map_or_else(|| trunk_setting("port"), |port| Ok(port.to_owned()))?;
    let port: NonZeroU16 = text.parse().map_err(|_| format!("`{text}` is not a port: give a number from 1 to 65535"))?;
    let port = port.get();
    let in_use = |_| format!("port {port} is in use: give another one with --port");
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port).map_err(in_use)
}

/// Prints the address as soon as the server responds.
fn announce(port: u16) {
    thread::spawn(move || {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            thread::sleep(Duration::from_millis(200));
        }
        println!("\nThe page is at http://127.0.0.1:{port}/ (Ctrl-C stops the server).\n");
    });
}
