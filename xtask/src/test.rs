//! All tests: lints, native tests on the default adapter, then the page in real browsers.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;

use crate::chores;
use crate::jobs::{Job, failed_lints, run_side_by_side};
use crate::page;
use crate::process::{Result, cargo, durations, phase, program, run, run_reading};
use crate::published;
use crate::runtime::RuntimeDirectory;
use crate::system::{self, Need};
use crate::tally::Tally;
use crate::tools::Toolchain;

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Lints,
    Native,
    Browser,
    /// Measurements of the page, which need a machine that does nothing else.
    Timed,
    /// A published model, in the program and in the page.
    Published,
    /// The program on several ranks.
    Mpi,
}

impl Part {
    const DEFAULT: [Part; 3] = [Part::Lints, Part::Native, Part::Browser];
    const ALL: [Part; 6] = [Part::Lints, Part::Native, Part::Mpi, Part::Browser, Part::Timed, Part::Published];
}

/// The selected tests.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    parts: Vec<Part>,
    /// All combinations, and the shipped page?
    is_exhaustive: bool,
}

impl Selection {
    /// The selection by the arguments of `test`.
    pub fn named(arguments: &[&str]) -> Result<Selection> {
        let (mut is_exhaustive, mut only) = (false, None);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--all" => is_exhaustive = true,
                "--only" => only = Some(part_named(arguments.next().copied().unwrap_or_default())?),
                other => return Err(format!("`{other}` is no option of test: it takes --all and --only")),
            }
        }
        let all: &[Part] = if is_exhaustive { &Part::ALL } else { &Part::DEFAULT };
        Ok(Selection { parts: only.map_or_else(|| all.to_vec(), |part| vec![part]), is_exhaustive })
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Is the page tested?
    fn has_page(&self) -> bool {
        [Part::Browser, Part::Timed, Part::Published].into_iter().any(|part| self.has(part))
    }
}

fn part_named(name: &str) -> Result<Part> {
    match name {
        "lints" => Ok(Part::Lints),
        "native" => Ok(Part::Native),
        "browser" => Ok(Part::Browser),
        "timed" => Ok(Part::Timed),
        "published" => Ok(Part::Published),
        "mpi" => Ok(Part::Mpi),
        _ => Err(format!("there are no tests called `{name}`: --only takes lints, native, mpi, browser, timed or published")),
    }
}

/// Runs the selected tests. The last line sums the counts of all runners.
pub fn run_all(selection: &Selection) -> Result<ExitCode> {
    phase("set-up", || system::ensure(&needs(selection)))?;
    let runners = Runners::new(selection.is_exhaustive)?;
    let mut total = if selection.has(Part::Lints) { quick_lints(selection.is_exhaustive) } else { Tally::default() };
    let built = phase("builds", || build(selection));
    total += Tally { failed: failed_lints(), ..Tally::default() };
    if let (Err(sentence), [Part::Lints]) = (&built, &selection.parts[..]) {
        return Err(sentence.clone());
    }
    if selection.has(Part::Native) {
        total += counted(built.as_ref().map_err(Clone::clone).and_then(|_| native(&runners)));
    }
    if selection.has(Part::Mpi) {
        total += counted(mpi(&runners));
    }
    if selection.has_page() {
        total += counted(built.and_then(|toolchain| page(selection, &runners, toolchain.as_ref())));
    }
    println!("{}\n{total}", durations());
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A run that aborts before it reports counts as a failure.
fn counted(tally: Result<Tally>) -> Tally {
    tally.unwrap_or_else(|sentence| {
        eprintln!("error: {sentence}\n");
        Tally::BROKEN
    })
}

/// Runs the selected lints and all builds for the tests in parallel: while one waits for its last crate, the others use the other cores.
/// The order is such that none waits for the lock of another's build directory.
fn build(selection: &Selection) -> Result<Option<Toolchain>> {
    let lints = if selection.has(Part::Lints) { chores::lints()? } else { Vec::new() };
    let command = cargo(&["test", "--workspace", "--no-run"]);
    let (name, advice) = ("the native tests".to_owned(), "fix the error above".to_owned());
    let native = Some(Job { name, minutes: 5.0, command, advice, is_lint: false }).filter(|_| selection.has(Part::Native));
    let jobs = lints.into_iter().chain(native);
    if !selection.has_page() {
        return run_side_by_side(jobs.collect()).map(|()| None);
    }
    Toolchain::ensure(jobs.chain([page::programs(profile(selection.is_exhaustive))]).collect()).map(Some)
}

/// The profile of the tested page.
fn profile(is_exhaustive: bool) -> &'static str {
    if is_exhaustive { page::SHIPPED } else { page::QUICK }
}

fn needs(selection: &Selection) -> Vec<Need> {
    let is_needed = |need: &Need| match need {
        // Firefox needs a Vulkan driver, as native tests do.
        Need::Vulkan => selection.has(Part::Native) || selection.has(Part::Mpi) || selection.has_page(),
        Need::Chromium | Need::Node => selection.has_page(),
        Need::Firefox => selection.has(Part::Browser) || selection.has(Part::Timed),
        Need::Python => selection.has(Part::Published),
        Need::Mpi => selection.has(Part::Mpi),
    };
    [Need::Vulkan, Need::Chromium, Need::Firefox, Need::Node, Need::Python, Need::Mpi].into_iter().filter(is_needed).collect()
}

/// Runs all quick lints, also after a failure.
fn quick_lints(is_exhaustive: bool) -> Tally {
    let mut tally = Tally::default();
    for (name, lint) in chores::QUICK_LINTS.into_iter().chain(is_exhaustive.then_some(chores::OTHER_WORKSPACES)) {
        if let Err(sentence) = phase(name, lint) {
            eprintln!("error: {sentence}\n");
            tally += Tally::BROKEN;
        }
    }
    tally
}

fn native(runners: &Runners) -> Result<Tally> {
    phase("native tests", || runners.count(&mut cargo(&["test", "--workspace", "--no-fail-fast"]), Show::Now))
}

/// Builds the program with MPI, beside the other, and tests it.
fn mpi(runners: &Runners) -> Result<Tally> {
    let arguments = ["test", "--features", "mpi", "--target-dir", "target/mpi", "--test", "streambp", "mpi::"];
    phase("tests of several ranks", || runners.count(&mut cargo(&arguments), Show::Now))
}

/// Builds the page, and tests it.
fn page(selection: &Selection, runners: &Runners, toolchain: Option<&Toolchain>) -> Result<Tally> {
    let toolchain = toolchain.expect("tests of the page have a toolchain");
    let tests = BrowserTests::build(toolchain, profile(selection.is_exhaustive))?;
    let mut total = Tally::default();
    if selection.has(Part::Browser) {
        total += counted(browser(runners, &tests));
    }
    if selection.has(Part::Timed) {
        total += counted(timed(runners, &tests));
    }
    if selection.has(Part::Published) {
        total += counted(published_model(runners, &tests));
    }
    Ok(total)
}

fn browser(runners: &Runners, tests: &BrowserTests) -> Result<Tally> {
    let files = browser_test_files(runners.is_exhaustive)?;
    phase("browser tests", || {
        let (mut chromium, mut firefox) = (tests.run(BROWSERS[0], &files)?, tests.run(BROWSERS[1], &files)?);
        thread::scope(|scope| {
            let other = scope.spawn(|| runners.count(&mut firefox, Show::AtTheEnd));
            let mut tally = runners.count(&mut chromium, Show::Now)?;
            tally += other.join().expect("counting does not panic")?;
            Ok(tally)
        })
    })
}

fn timed(runners: &Runners, tests: &BrowserTests) -> Result<Tally> {
    phase("timed browser tests", || {
        BROWSERS.iter().try_fold(Tally::default(), |mut tally, browser| {
            tally += runners.count(&mut tests.run(browser, &[TIMED.to_owned()])?, Show::Now)?;
            Ok(tally)
        })
    })
}

fn published_model(runners: &Runners, tests: &BrowserTests) -> Result<Tally> {
    let mut script = published::script()?;
    let mut total = phase("published model", || runners.count(&mut script, Show::Now))?;
    total += phase("published model in the page", || {
        let mut test = tests.run(BROWSERS[0], &[published::PAGE_TEST.to_owned()])?;
        runners.count(test.env("PUBLISHED_MODEL", published::directory()?), Show::Now)
    })?;
    Ok(total)
}

/// The page under test, and the programs that drive browsers.
pub struct BrowserTests {
    page: PathBuf,
    /// The command-line program, for runs that go there and back.
    program: PathBuf,
}

impl BrowserTests {
    /// Gets all that they need, and builds the page.
    pub fn set_up() -> Result<BrowserTests> {
        system::ensure(&needs(&Selection { parts: vec![Part::Browser], is_exhaustive: false }))?;
        BrowserTests::build(&Toolchain::ensure(vec![page::programs(page::QUICK)])?, page::QUICK)
    }

    fn build(toolchain: &Toolchain, profile: &'static str) -> Result<BrowserTests> {
        let page = std::path::absolute("target/page-under-test").map_err(|error| error.to_string())?;
        phase("build of the page", || page::build(toolchain, profile, &page))?;
        phase("set-up of the browser tests", || {
            // The install scripts of a browser driver would download browsers.
            let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(&mut in_browser_tests(system::npm()?, &install), "check that the package registry is reachable")
        })?;
        Ok(BrowserTests { page, program: program()? })
    }

    /// Node's test runner on these test files in a browser.
    fn run(&self, browser: &str, files: &[String]) -> Result<Command> {
        let concurrency = format!("--test-concurrency={}", if browser == BROWSERS[1] { FIREFOXES } else { 1 });
        let mut tests = self.node(browser, &["--test", &concurrency, "--test-reporter=spec"])?;
        tests.args(files);
        Ok(tests)
    }

    /// A command of Node.js on the page in a browser.
    pub fn node(&self, browser: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = in_browser_tests(system::node()?, arguments);
        command.env("PAGE", &self.page).env("PROGRAM", &self.program).env("BROWSER", browser);
        command.env("CHROMIUM", system::chromium()?).env("FIREFOX", system::firefox()?);
        Ok(command)
    }
}

/// The names of the browsers in `tests/browser/browsers.mjs`. They are tested in parallel.
pub const BROWSERS: [&str; 2] = ["Chromium", "Firefox"];
/// Firefox tells ten times a second what the device has done, so its tests wait most of the time: so many of them run in parallel.
const FIREFOXES: usize = 3;
/// The file of measurements, which runs alone: without a GPU, browsers take all cores.
const TIMED: &str = "timed.test.mjs";
/// The prefix of the file that tests the size of the shipped page.
const SIZE: &str = "size.";

/// The test files, in order.
fn browser_test_files(is_exhaustive: bool) -> Result<Vec<String>> {
    let unreadable = |error: std::io::Error| format!("tests/browser cannot be listed: {error}");
    let entries = std::fs::read_dir("tests/browser").map_err(unreadable)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<std::io::Result<Vec<_>>>();
    let is_included = |name: &String| {
        name.ends_with(".test.mjs") && (is_exhaustive || !name.starts_with(SIZE)) && ![TIMED, published::PAGE_TEST].contains(&&**name)
    };
    let mut names: Vec<String> = names.map_err(unreadable)?.into_iter().filter(is_included).collect();
    names.sort_unstable();
    Ok(names)
}

fn in_browser_tests(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("tests/browser");
    command
}

/// When to show the output of a runner: two at once would be unreadable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Now,
    AtTheEnd,
}

/// The environment of all test runners.
pub struct Runners {
    is_exhaustive: bool,
    runtime: RuntimeDirectory,
    shader_cache: PathBuf,
}

impl Runners {
    pub fn new(is_exhaustive: bool) -> Result<Runners> {
        // If `target` persists between runs, as in CI, Mesa compiles nothing twice.
        let shader_cache = std::path::absolute("target/shader-cache").map_err(|error| error.to_string())?;
        Ok(Runners { is_exhaustive, runtime: RuntimeDirectory::ensure()?, shader_cache })
    }

    /// Gives a command what drivers need.
    pub fn prepare(&self, command: &mut Command) {
        self.runtime.give_to(command).env("MESA_SHADER_CACHE_DIR", &self.shader_cache);
    }

    /// Runs a test runner and returns its counts. A run that has no tests or aborts is a failure.
    fn count(&self, command: &mut Command, show: Show) -> Result<Tally> {
        self.prepare(command);
        if self.is_exhaustive {
            command.env("STREAMBP_TEST_ALL", "1");
        }
        let mut tally = Tally::default();
        let mut buffered = Vec::new();
        let succeeded = run_reading(command, |line| {
            tally.read(line);
            match show {
                Show::Now => println!("{line}"),
                Show::AtTheEnd => buffered.push(line.to_owned()),
            }
        })?;
        buffered.iter().for_each(|line| println!("{line}"));
        if succeeded && tally.passed == 0 {
            return Err("no tests ran: see the output above".to_owned());
        }
        if !succeeded && tally.failed == 0 {
            tally += Tally::BROKEN;
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_select_parts() {
        let all = Selection::named(&[]).unwrap();
        assert_eq!((all.parts.len(), all.is_exhaustive), (3, false));
        let exhaustive = Selection::named(&["--all"]).unwrap();
        assert_eq!((exhaustive.parts.len(), exhaustive.has(Part::Published)), (6, true));
        let timed = Selection::named(&["--only", "timed"]).unwrap();
        assert!(timed.has_page() && !timed.has(Part::Browser));
        let some = Selection::named(&["--all", "--only", "native"]).unwrap();
        assert_eq!(some, Selection { parts: vec![Part::Native], is_exhaustive: true });
        assert!(Selection::named(&["--only"]).unwrap_err().contains("lints, native, mpi, browser, timed or published"));
        assert!(Selection::named(&["--fast"]).unwrap_err().contains("`--fast`"));
    }
}
