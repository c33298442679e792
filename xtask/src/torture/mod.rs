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
use runs::Runs;

/// What a part did: its name, and its counts.
type Row = (String, String);

/// Shares of the time, in percent. Fuzzing needs one core and nothing of the GPU, so it runs beside the long training run.
const MEMORY: u32 = 40;
const FUZZ: u32 = 30;
const KILLS: u32 = 10;
const DISK: u32 = 5;
const OPTIONS: u32 = 5;
const PAGE: u32 = 10;

/// Runs all parts for that many minutes in all, and prints the report.
pub fn torture(minutes: &str) -> Result {
    let minutes: u32 = minutes.parse().map_err(|_| format!("`{minutes}` is not a number of minutes"))?;
    let time = |percent: u32| Duration::from_secs(u64::from(60 * minutes * percent / 100));
    let runs = phase("set-up", || Runs::set_up(seed()))?;
    page::set_up()?;
    let targets = chores::fuzz_targets()?;
    let each = (time(FUZZ).as_secs() / targets.len() as u64).max(1);

    let mut rows: Vec<Row> = phase("flat memory, and every fuzz target", || {
        thread::scope(|scope| {
            let fuzzing = scope.spawn(|| chores::fuzz(&each.to_string()));
            let memory = memory::train_for(&runs, time(MEMORY))?;
            fuzzing.join().expect("fuzzing does not panic")?;
            Ok(vec![memory, ("fuzzing".to_owned(), format!("{} targets, {each} s each, no panic", targets.len()))])
        })
    })?;
    rows.push(phase("kills", || kills::kill_for(&runs, time(KILLS)))?);
    rows.push(phase("full disks", || disk::fill_for(&runs, time(DISK)))?);
    rows.push(phase("options at random", || options::try_for(&runs, time(OPTIONS)))?);
    rows.extend(phase("lost devices in the page", || page::lose_devices_for(time(PAGE), runs.seed))?);
    println!("Seed {}.\n\n| what | how often, and how it ended |\n|---|---|", runs.seed);
    rows.iter().for_each(|(name, did)| println!("| {name} | {did} |"));
    Ok(())
}

/// A number that differs from run to run. The report has it.
fn seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
