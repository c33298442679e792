//! Runs whose disk fills up at random moments.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use super::runs::{Runs, drain, expect, first_line, saved_step};
use crate::process::{Result, output_of};

const NAME: &str = "full disks";
/// A disk with room for the run.
const SIZE: &str = "size=8m";
/// Up to so many bytes are left on a full disk, so that each of a run's writes is one that fails.
const MOST_LEFT: u64 = 1 << 19;
/// The longest time that a disk stays as it is.
const LONGEST: Duration = Duration::from_millis(600);

pub fn fill_for(runs: &Runs, time: Duration) -> Result<Row> {
    let Some(disk) = Disk::mount(&runs.directory.join("disk")) else {
        return Ok((NAME.to_owned(), "not run: a small disk can be mounted by root on Linux alone".to_owned()));
    };
    let mut random = runs.random(2);
    let started = Instant::now();
    let (mut filled, mut warnings, mut errors, mut finished) = (0, 0, 0, 0);
    while started.elapsed() < time {
        let out = disk.0.join("out");
        let _ = fs::remove_dir_all(&out);
        let mut more: &[&str] = &[];
        loop {
            let mut child = runs.start(&runs.interruptible(&out), more)?;
            let (_, rest) = first_line(&mut child)?;
            let reader = drain(rest);
            // Every other disk stays full until the end of the run.
            let stays_full = random.bool();
            while child.try_wait().map_err(|error| error.to_string())?.is_none() {
                thread::sleep(LONGEST.mul_f64(random.f64()));
                disk.fill(random.u64(..MOST_LEFT))?;
                filled += 1;
                if stays_full {
                    break;
                }
                thread::sleep(LONGEST.mul_f64(random.f64()));
                disk.free()?;
            }
            let ended = Runs::end(child)?;
            let _ = reader.join();
            disk.free()?;
            warnings += ended.stderr.matches("warning: ").count();
            saved_step(&out)?;
            match ended.status {
                Some(0) => break,
                Some(1) if ended.stderr.contains("No space left") => errors += 1,
                found => return Err(format!("on a full disk the exit status was {found:?}: {}", ended.stderr)),
            }
            more = if saved_step(&out)? > 0 { &["--resume"] } else { &["--overwrite"] };
        }
        runs.check_weights(&out)?;
        let left = fs::read_dir(&out).map_err(|error| error.to_string())?.flatten();
        let partial = left.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "partial")).count();
        expect(partial == 0, || format!("{partial} unfinished files were left in {}", out.display()))?;
        finished += 1;
    }
    let did = format!(
        "filled {filled} times: {warnings} saves failed with a warning and {errors} runs with an error; {finished} runs ended with the bits of \
         an uninterrupted one"
    );
    Ok((NAME.to_owned(), did))
}

/// A small disk in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path) -> Option<Disk> {
        fs::create_dir_all(path).ok()?;
        output_of(Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(path))?;
        Some(Disk(path.to_owned()))
    }

    /// Leaves at most so many bytes free.
    fn fill(&self, left: u64) -> Result {
        let path = self.0.join("filler");
        let mut file = File::create(&path).map_err(|error| error.to_string())?;
        // Until there is no room.
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        file.set_len(length.saturating_sub(left)).map_err(|error| error.to_string())
    }

    fn free(&self) -> Result {
        match fs::remove_file(self.0.join("filler")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What stays mounted is in memory alone.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
