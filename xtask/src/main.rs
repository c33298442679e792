//! The project's chores, as `cargo xtask <command>`. Each installs what it needs, or prints what to install.

mod chores;
mod circles;
mod gpu;
mod jobs;
mod lengths;
mod measurements;
mod names;
mod page;
mod peers;
mod process;
mod published;
mod python;
mod runtime;
mod syntax;
mod system;
mod tally;
mod test;
mod tools;
mod torture;

use std::path::Path;
use std::process::ExitCode;

use process::Result;

const USAGE: &str = "\
Usage: cargo xtask <command>

  serve [--port PORT]              build the page and serve it at 127.0.0.1
  build                            build the page into dist, for any directory of a static host
  test [--all] [--only PART]       lint, test natively and in Chromium and Firefox; PART is lints, native, mpi, browser,
                                   timed or published, --all tests all combinations, several ranks, the shipped page and a published model,
                                   and measures
  check                            formatting, import circles, lints natively and for the browser, unit tests
  fmt                              format every Rust file
  package                          build the crate as a package, and with the oldest Rust that it supports
  circles                          check imports alone: no circles, and layers import only from those above them
  fixtures [ARGUMENTS]             compute the fixtures with PyTorch; --check compares them
  fuzz [SECONDS]                   fuzz every parser for SECONDS seconds each [default: 300]
  torture [MINUTES [PART]...]      kill runs, fill disks, lose devices, try options at random, train for long and fuzz, for MINUTES in
                                   all [default: 100]; PART is memory, page, fuzz, kills, disks or options
  gpu [--built | --tables]         test and measure the adapter at hand in five minutes, into docs/measurements and docs/performance.md;
                                   --built takes what was built before, --tables only writes the tables again
  lengths                          plan the published models, into the table of docs/planning.md
  peers [ARGUMENTS]                benchmark against other trainers; see peers/README.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments).unwrap_or_else(|sentence| {
        eprintln!("error: {sentence}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    std::env::set_current_dir(root()?).map_err(|error| format!("the project's directory cannot be entered: {error}"))?;
    match arguments {
        ["serve"] => page::serve(None)?,
        ["serve", "--port", port] => page::serve(Some(port))?,
        ["build"] => page::build_for_host()?,
        ["test", rest @ ..] => return test::run_all(&test::Selection::named(rest)?),
        ["check"] => chores::check()?,
        ["fmt"] => chores::fmt()?,
        ["package"] => chores::package()?,
        ["circles"] => circles::check()?,
        ["fuzz"] => chores::fuzz("300")?,
        ["fuzz", seconds] => chores::fuzz(seconds)?,
        ["torture", rest @ ..] => torture::torture(rest)?,
        ["gpu"] => gpu::gpu(false)?,
        ["gpu", "--built"] => gpu::gpu(true)?,
        ["gpu", "--tables"] => measurements::write_document()?,
        ["lengths"] => lengths::write()?,
        ["peers", rest @ ..] => peers::peers(rest)?,
        ["fixtures", rest @ ..] => chores::fixtures(rest)?,
        [] | ["help" | "--help" | "-h"] => println!("{USAGE}"),
        _ => return Err(format!("`{}` is not a command here\n\n{USAGE}", arguments.join(" "))),
    }
    Ok(ExitCode::SUCCESS)
}

/// The directory of the workspace, so that chores do not depend on the current directory.
fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| "xtask must be in the project's directory".to_owned())
}
