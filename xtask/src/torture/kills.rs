//! Runs that are killed at random moments and resumed, again and again, until they are done.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use super::runs::{Runs, expect, saved_step, send};
use crate::process::Result;

/// Signals, and the exit status of a program that was asked to stop by them. Nothing can be done about KILL.
const SIGNALS: [(&str, Option<i32>); 4] = [("KILL", None), ("INT", Some(130)), ("TERM", Some(143)), ("HUP", Some(129))];
/// The longest time until a kill: a run starts within a second, and takes some.
const LONGEST: Duration = Duration::from_millis(2500);

pub fn kill_for(runs: &Runs, time: Duration) -> Result<Row> {
    let mut random = runs.random(1);
    let (started, out) = (Instant::now(), runs.directory.join("killed"));
    let (mut kills, mut asked, mut finished) = (0, 0, 0);
    while started.elapsed() < time {
        let _ = fs::remove_dir_all(&out);
        loop {
            let before = saved_step(&out)?;
            let more: &[&str] = if before > 0 { &["--resume"] } else { &["--overwrite"] };
            let child = runs.start(&runs.interruptible(&out), more)?;
            thread::sleep(LONGEST.mul_f64(random.f64()));
            let (signal, status) = SIGNALS[random.usize(..SIGNALS.len())];
            send(&child, signal)?;
            let ended = Runs::end(child)?;
            let after = saved_step(&out)?;
            expect(after >= before, || format!("{signal} took the run from step {before} to {after}"))?;
            match ended.status {
                Some(0) => break,
                None => kills += 1,
                found if found == status => asked += 1,
                found => return Err(format!("after {signal} the exit status was {found:?}: {}", ended.stderr)),
            }
        }
        runs.check_weights(&out)?;
        finished += 1;
    }
    let did = format!("{kills} killed, {asked} stopped by a signal; {finished} runs resumed to the bits of an uninterrupted one");
    Ok(("kills at random moments".to_owned(), did))
}
