//! The page in both browsers, whose device is lost again and again, and whose adapter comes back late.

use std::time::Duration;

use super::Row;
use super::runs::Runs;
use crate::process::{Result, run_reading};
use crate::test::{BROWSERS, BrowserTests};

/// Half of the time in each browser.
pub fn lose_devices_for(tests: &BrowserTests, runs: &Runs, time: Duration) -> Result<Vec<Row>> {
    let seconds = (time.as_secs() / BROWSERS.len() as u64).max(1).to_string();
    let in_browser = |browser: &&str| -> Result<Row> {
        let mut command = tests.node(browser, &["torture.mjs"])?;
        runs.runners.prepare(command.env("SECONDS", &seconds).env("SEED", runs.seed.to_string()));
        let mut report = String::new();
        let succeeded = run_reading(&mut command, |line| {
            println!("{line}");
            if let Some(line) = line.strip_prefix("report: ") {
                line.clone_into(&mut report);
            }
        })?;
        let is_whole = succeeded && !report.is_empty();
        if is_whole { Ok((format!("lost devices in {browser}"), report)) } else { Err(format!("{browser} lost something: see above")) }
    };
    BROWSERS.iter().map(in_browser).collect()
}
