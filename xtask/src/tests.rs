//! All tests: natively on the default adapter, then the page in real browsers.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::page;
use crate::process::{Result, cargo, phase, run, run_reading};
use crate::runtime::RuntimeDirectory;
use crate::system::{self, Need};
use crate::tally::Tally;
use crate::tools::Toolchain;

/// One of the places where tests run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Native,
    Browser,
}

/// Every part, in the order in which they run.
pub const ALL: [Part; 2] = [Part::Native, Part::Browser];

/// The part that `--only` names.
pub fn part_named(name: &str) -> Result<Part> {
    match name {
        "native" => Ok(Part::Native),
        "browser" => Ok(Part::Browser),
        _ => Err(format!("there are no tests called `{name}`: --only takes native or browser")),
    }
}

/// One file after another: they measure, and a browser without a GPU takes all cores. Node finds the files itself.
const RUN_TESTS: [&str; 3] = ["--test", "--test-concurrency=1", "--test-reporter=spec"];

/// Runs parts of the tests. The last line adds up what all runners counted.
pub fn test(parts: &[Part]) -> Result<ExitCode> {
    phase("set-up", || system::ensure(&needs(parts)))?;
    let mut total = Tally::default();
    for part in parts {
        let tally = match part {
            Part::Native => native(),
            Part::Browser => browser(),
        };
        total += tally.unwrap_or_else(|sentence| {
            eprintln!("error: {sentence}\n");
            Tally::BROKEN
        });
    }
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn needs(parts: &[Part]) -> Vec<Need> {
    // Firefox wants a Vulkan driver as much as native tests do.
    let mut needs = vec![Need::Vulkan];
    if parts.contains(&Part::Browser) {
        needs.extend([Need::Chromium, Need::Firefox, Need::Node]);
    }
    needs
}

fn native() -> Result<Tally> {
    phase("native tests", || count(&mut cargo(&["test", "--workspace", "--no-fail-fast"])))
}

fn browser() -> Result<Tally> {
    let page = Path::new("target/page-under-test");
    let toolchain = phase("set-up of the page's tools", || Toolchain::ensure(page::programs(page::QUICK)))?;
    phase("build of the page", || page::build(&toolchain, page::QUICK, page))?;
    phase("browser tests", || {
        // A driver's install scripts would download browsers of their own.
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(&mut in_browser_tests(system::npm()?, &install), "see that the packages' registry can be reached")?;
        let mut tests = in_browser_tests(system::node()?, &RUN_TESTS);
        tests.env("PAGE", std::path::absolute(page).map_err(|error| error.to_string())?);
        count(tests.env("CHROMIUM", system::chromium()?).env("FIREFOX", system::firefox()?))
    })
}

fn in_browser_tests(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("tests/browser");
    command
}

/// Runs a test runner, and counts what it reports. A run without a test, or that breaks off, is a failure.
fn count(command: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let runtime = RuntimeDirectory::ensure()?;
    let succeeded = run_reading(runtime.give_to(command), |line| tally.read(line))?;
    if succeeded && tally.passed == 0 {
        return Err("no test ran: see why above".to_owned());
    }
    if !succeeded && tally.failed == 0 {
        tally += Tally::BROKEN;
    }
    Ok(tally)
}
