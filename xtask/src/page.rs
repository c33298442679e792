//! Building the page, and serving it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::process::{Result, phase, run};
use crate::tools::{Toolchain, trunk_setting};

const BUILD_ADVICE: &str = "mend the error above";

/// Builds the page, optimised, into a directory.
pub fn build(toolchain: &Toolchain, directory: &Path) -> Result {
    run(toolchain.trunk(&["build", "--release", "--dist"]).arg(directory), BUILD_ADVICE)
}

/// Builds the page into the directory that a host's visitors are to see.
pub fn build_for_host() -> Result {
    let directory = Path::new("dist");
    let toolchain = phase("set-up", Toolchain::ensure)?;
    phase("build", || build(&toolchain, directory))?;
    println!("The page is in {}: put these files anywhere on a host that serves https.", directory.display());
    Ok(())
}

/// Builds the page and serves it until it is interrupted; builds it again when a source changes.
pub fn serve(port: Option<&str>) -> Result {
    let port = free_port(port)?;
    let toolchain = phase("set-up", Toolchain::ensure)?;
    // Trunk would serve a page that does not build; so it is built once before.
    phase("build", || run(&mut toolchain.trunk(&["build", "--release"]), BUILD_ADVICE))?;
    announce(port);
    run(&mut toolchain.trunk(&["serve", "--release", "--port", &port.to_string()]), "see what it says above")
}

fn free_port(port: Option<&str>) -> Result<u16> {
    let text = port.map_or_else(|| trunk_setting("port"), |port| Ok(port.to_owned()))?;
    let port: NonZeroU16 = text.parse().map_err(|_| format!("`{text}` is no port: give a number from 1 to 65535"))?;
    let port = port.get();
    let taken = |_| format!("port {port} is taken: give another one with --port");
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port).map_err(taken)
}

/// Names the address as soon as there is an answer at it.
fn announce(port: u16) {
    thread::spawn(move || {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            thread::sleep(Duration::from_millis(200));
        }
        println!("\nThe page is at http://127.0.0.1:{port}/ (Ctrl-C ends it).\n");
    });
}
