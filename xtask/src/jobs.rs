//! Runs independent builds and lints in parallel, as far as the cores allow.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jobserver::Client;

use crate::process::{Result, phase, run, run_quietly};

/// A build or a lint.
pub struct Job {
    pub name: String,
    /// Its duration in minutes, on two cores.
    pub minutes: f32,
    pub command: Command,
    /// What to do if it fails.
    pub advice: String,
    /// Is it a lint? Nothing depends on a lint, so the others continue if it fails.
    pub is_lint: bool,
}

/// The number of failed lints.
static FAILED_LINTS: AtomicUsize = AtomicUsize::new(0);

/// The number of failed lints.
pub fn failed_lints() -> usize {
    FAILED_LINTS.load(Ordering::Relaxed)
}

/// Runs all jobs, in order, as cores become free. It shows the output of the first; that of the others only if they fail, because nobody
/// can read two at once.
///
/// # Errors
/// If a build fails. Failed lints are printed, and counted by [`failed_lints`].
pub fn run_side_by_side(jobs: Vec<Job>) -> Result {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(jobs.len());
    println!("{}", announcement(&jobs));
    // Every worker has one core. The other cores go to whichever build asks first, by cargo's jobserver protocol.
    let tokens =
        Client::new(cores - workers).map_err(|error| format!("builds cannot share the cores ({error}): check the limit of open files"))?;
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let next = || queue.lock().expect("no worker panics").next();
    let work = || {
        let outcome = std::iter::from_fn(next).try_for_each(|(place, job)| run_one(job, place == 0, &tokens));
        // The remaining jobs get the core of a worker that is done.
        outcome.and(tokens.release_raw().map_err(|error| format!("a core cannot be released: {error}")))
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })
}

fn run_one(mut job: Job, shown: bool, tokens: &Client) -> Result {
    tokens.configure(&mut job.command);
    let run = if shown { run } else { run_quietly };
    match phase(&job.name, || run(&mut job.command, &job.advice)) {
        Err(sentence) if job.is_lint => {
            eprintln!("error: {sentence}\n");
            FAILED_LINTS.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        outcome => outcome,
    }
}

fn announcement(jobs: &[Job]) -> String {
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let minutes: f32 = jobs.iter().map(|job| job.minutes).sum();
    let minutes = minutes.ceil();
    format!("Now to do: {}. This takes about {minutes} minutes on two cores, less on more.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::cargo;

    fn job(name: &str, arguments: &[&str]) -> Job {
        Job { name: name.to_owned(), minutes: 1.25, command: cargo(arguments), advice: "mend it".to_owned(), is_lint: false }
    }

    #[test]
    fn all_jobs_run_and_a_failure_is_reported() {
        let version = || job("version", &["--version"]);
        assert_eq!(run_side_by_side(vec![version(), version(), version()]), Ok(()));
        let sentence = run_side_by_side(vec![version(), job("nothing", &["no-such-command"]), version()]).unwrap_err();
        assert_eq!(sentence, "`cargo no-such-command` failed: mend it");
    }

    #[test]
    fn a_failing_lint_stops_no_other_job() {
        let before = failed_lints();
        let lint = Job { is_lint: true, ..job("lint", &["no-such-command"]) };
        assert_eq!(run_side_by_side(vec![lint, job("version", &["--version"])]), Ok(()));
        assert_eq!(failed_lints(), before + 1);
    }

    #[test]
    fn the_total_time_is_announced() {
        let sentence = announcement(&[job("trunk 1.2.3", &[]), job("the page", &[])]);
        assert_eq!(sentence, "Now to do: trunk 1.2.3, the page. This takes about 3 minutes on two cores, less on more.");
    }
}
