//! The page in both browsers, whose device is lost again and again, and whose adapter comes back late.

use std::time::Duration;

use super::Row;
use crate::process::{Result, run_reading};
use crate::test::{BROWSERS, BrowserTests, Runners};

/// The page, and what drives browsers.
pub struct Page {
    tests: BrowserTests,
    runners: Runners,
}

impl Page {
    pub fn set_up() -> Result<Page> {
        Ok(Page { tests: BrowserTests::set_up()?, runners: Runners::new(false)? })
    }

    /// Half of the time in each browser.
    pub fn lose_devices_for(&self, time: Duration, seed: u64) -> Result<Vec<Row>> {
        let seconds = (time.as_secs() / BROWSERS.len() as u64).max(1).to_string();
        BROWSERS.iter().map(|browser| self.lose_devices_in(browser, &seconds, seed)).collect()
    }

    fn lose_devices_in(&self, browser: &str, seconds: &str, seed: u64) -> Result<Row> {
        let mut command = self.tests.node(browser, &["torture.mjs"])?;
        self.runners.prepare(command.env("SECONDS", seconds).env("SEED", seed.to_string()));
        let mut report = String::new();
        let succeeded = run_reading(&mut command, |line| {
            println!("{line}");
            if let Some(line) = line.strip_prefix("report: ") {
                line.clone_into(&mut report);
            }
        })?;
        let is_whole = succeeded && !report.is_empty();
        if is_whole { Ok((format!("lost devices in {browser}"), report)) } else { Err(format!("{browser} lost something: see above")) }
    }
}
