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

/// Shares of the time, in percent. The first two of them run beside the others.
const MEMORY: u32 = 40;
const PAGE: u32 = 10;
const FUZZ: u32 = 30;
const KILLS: u32 = 10;
const DISK: u32 = 5;
const OPTIONS: u32 = 5;

/// Runs all parts, two at a time, for that many minutes in all, and prints the report.
pub fn torture(minutes: &str) -> Result {
    let minutes: u32 = minutes.parse().map_err(|_| format!("`{minutes}` is not a number of minutes"))?;
    let time = |percent: u32| Duration::from_secs(u64::from(60 * minutes * percent / 100));
    let runs = phase("set-up", || Runs::set_up(seed()))?;
    let (page, targets) = (BrowserTests::set_up()?, chores::fuzz_targets()?);
    let each = (time(FUZZ).as_secs() / targets.len() as u64).max(1);
    let long = || -> Result<Vec<Row>> {
        let memory = phase("flat memory", || memory::train_for(&runs, time(MEMORY)))?;
        let lost = phase("lost devices in the page", || page::lose_devices_for(&page, &runs, time(PAGE)))?;
        Ok([memory].into_iter().chain(lost).collect())
    };
    let short = || -> Result<Vec<Row>> {
        chores::fuzz(&each.to_string())?;
        let fuzzing = ("fuzzing".to_owned(), format!("{} targets, {each} s each, no panic", targets.len()));
        let kills = phase("kills", || kills::kill_for(&runs, time(KILLS)))?;
        let disks = phase("full disks", || disk::fill_for(&runs, time(DISK)))?;
        let options = phase("options at random", || options::try_for(&runs, time(OPTIONS)))?;
        Ok(vec![fuzzing, kills, disks, options])
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

/// A number that differs from run to run. The report has it.
fn seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
