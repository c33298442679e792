//! Torture: what happens to runs in the world, again and again. Not part of the tests, because it takes hours.
//!
//! Each part returns what it did, as a row of the table in docs/testing.md, or a sentence on what was lost.

mod disk;
mod kills;
mod memory;
mod options;
mod page;
mod runs;

use std::thread;
use std::time::{Duration, SystemTime};

use crate::chores;
use crate::process::{Result, phase};
use crate::test::BrowserTests;
use runs::Runs;

/// What a part did: its name, and its counts.
type Row = (String, String);

/// The parts, and their shares of the time in percent. The first two run beside the others.
const PARTS: [(&str, u32); 6] = [("memory", 40), ("page", 10), ("fuzz", 30), ("kills", 10), ("disks", 5), ("options", 5)];

/// Which parts run, and for how long in all.
struct Selection<'a> {
    minutes: u32,
    parts: &'a [&'a str],
}

impl<'a> Selection<'a> {
    fn named(arguments: &'a [&'a str]) -> Result<Selection<'a>> {
        let (minutes, parts) = arguments.split_first().unwrap_or((&"100", &[]));
        let minutes = minutes.parse().map_err(|_| format!("`{minutes}` is not a number of minutes"))?;
        match parts.iter().find(|part| PARTS.iter().all(|(name, _)| name != *part)) {
            Some(part) => Err(format!("there is no part `{part}`: there are {}", PARTS.map(|(name, _)| name).join(", "))),
            None => Ok(Selection { minutes, parts }),
        }
    }

    /// The time of a part; `None` if it does not run.
    fn time(&self, part: &str) -> Option<Duration> {
        let is_selected = self.parts.is_empty() || self.parts.contains(&part);
        let (_, percent) = PARTS.into_iter().find(|(name, _)| *name == part)?;
        is_selected.then(|| Duration::from_secs(u64::from(60 * self.minutes * percent / 100)))
    }

    /// Runs a part, if it is selected.
    fn run(&self, part: &'static str, work: impl FnOnce(Duration) -> Result<Vec<Row>>) -> Result<Vec<Row>> {
        self.time(part).map_or(Ok(Vec::new()), |time| phase(part, || work(time)))
    }
}

/// Runs the parts that the arguments name, or all, two at a time, and prints the report. The first argument is the number of minutes that
/// all parts have together.
pub fn torture(arguments: &[&str]) -> Result {
    let selection = Selection::named(arguments)?;
    let runs = phase("set-up", || Runs::set_up(seed()))?;
    let page = selection.time("page").map(|_| BrowserTests::set_up()).transpose()?;
    let targets = if selection.time("fuzz").is_some() { chores::fuzz_targets()? } else { Vec::new() };
    let long = || -> Result<Vec<Row>> {
        let memory = selection.run("memory", |time| memory::train_for(&runs, time).map(|row| vec![row]))?;
        let lost = page.as_ref().map_or(Ok(Vec::new()), |page| selection.run("page", |time| page::lose_devices_for(page, &runs, time)))?;
        Ok([memory, lost].concat())
    };
    let short = || -> Result<Vec<Row>> {
        let fuzzing = selection.run("fuzz", |time| fuzz(&targets, time))?;
        let kills = selection.run("kills", |time| kills::kill_for(&runs, time).map(|row| vec![row]))?;
        let disks = selection.run("disks", |time| disk::fill_for(&runs, time).map(|row| vec![row]))?;
        let options = selection.run("options", |time| options::try_for(&runs, time).map(|row| vec![row]))?;
        Ok([fuzzing, kills, disks, options].concat())
    };
    let (long, short) = thread::scope(|scope| {
        let long = scope.spawn(long);
        let short = short();
        (long.join().expect("torture does not panic"), short)
    });
    println!("Seed {}.\n\n| what | how often, and how it ended |\n|---|---|", runs.seed);
    for rows in [&long, &short] {
        match rows {
            Ok(rows) => rows.iter().for_each(|(name, did)| println!("| {name} | {did} |")),
            Err(lost) => println!("| **lost** | {lost} |"),
        }
    }
    long.and(short).map(|_| ())
}

/// Every target for an equal share of the time.
fn fuzz(targets: &[String], time: Duration) -> Result<Vec<Row>> {
    let each = (time.as_secs() / targets.len() as u64).max(1);
    chores::fuzz(&each.to_string())?;
    Ok(vec![("fuzzing".to_owned(), format!("{} targets, {each} s each, no panic", targets.len()))])
}

/// A number that differs from run to run. The report has it.
fn seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
