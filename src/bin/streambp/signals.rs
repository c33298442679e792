//! Signals that ask the program to stop: Ctrl-C, `kill`, a closed terminal. The first one lets the work in hand be finished, a second one ends
//! the program at once.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use signal_hook::{consts, flag};
use streambp::error::{Error, Result};

use crate::output;

/// A signal that asks the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    number: i32,
    name: &'static str,
}

#[cfg(unix)]
const SIGNALS: [Signal; 3] = [
    Signal { number: consts::SIGINT, name: "SIGINT" },
    Signal { number: consts::SIGTERM, name: "SIGTERM" },
    Signal { number: consts::SIGHUP, name: "SIGHUP" },
];

#[cfg(windows)]
const SIGNALS: [Signal; 2] = [Signal { number: consts::SIGINT, name: "Ctrl-C" }, Signal { number: consts::SIGBREAK, name: "Ctrl-Break" }];

/// How often a thread looks for the first signal, so that the user is told while a step still runs.
const LOOK: Duration = Duration::from_millis(50);

impl Signal {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What a shell expects of a program that a signal ended.
    pub fn status(self) -> ExitCode {
        ExitCode::from((128 + self.number) as u8)
    }
}

/// The signals that have come.
#[derive(Default)]
pub struct Signals(Arc<Heard>);

/// What the program and the thread that looks for signals share.
#[derive(Default)]
struct Heard {
    /// The number of the first signal; 0 before.
    first: Arc<AtomicUsize>,
    /// What is finished after the first signal.
    unit: OnceLock<&'static str>,
    /// Set once the user was told that the signal came.
    told: OnceLock<()>,
}

impl Signals {
    /// From now on a first signal no longer ends the program. `unit` is what is finished then, such as a step.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen(&self, unit: &'static str) -> Result<()> {
        let refused = |e: std::io::Error| Error::io("signals", e);
        let heard = self.0.clone();
        heard.unit.set(unit).expect("a command listens once");
        let is_second = Arc::new(AtomicBool::new(false));
        for Signal { number, .. } in SIGNALS.into_iter().filter(|signal| !is_ignored(signal.number)) {
            // In this order: at the first signal the flag that ends the program is not set yet.
            flag::register_conditional_shutdown(number, 128 + number, is_second.clone()).map_err(refused)?;
            flag::register(number, is_second.clone()).map_err(refused)?;
            flag::register_usize(number, heard.first.clone(), number as usize).map_err(refused)?;
        }
        std::thread::spawn(move || {
            while heard.received().is_none() {
                std::thread::sleep(LOOK);
            }
        });
        Ok(())
    }

    /// The signal that came, if one did.
    pub fn received(&self) -> Option<Signal> {
        self.0.received()
    }

    /// Goes on unless a signal came.
    ///
    /// # Errors
    /// [`Error::Stopped`] if one did.
    pub fn check(&self) -> Result<()> {
        if self.received().is_some() { Err(Error::Stopped) } else { Ok(()) }
    }
}

impl Heard {
    /// The signal that came, if one did. Whoever sees it first tells the user; all others wait for that, so that the line precedes what
    /// the program says when it has stopped.
    fn received(&self) -> Option<Signal> {
        let number = self.first.load(Ordering::Relaxed) as i32;
        let signal = SIGNALS.into_iter().find(|signal| signal.number == number)?;
        self.told.get_or_init(|| {
            let unit = self.unit.get().expect("signals come after listen");
            output::say(format_args!("{}: finishing the {unit}; a second signal ends the program at once", signal.name));
        });
        Some(signal)
    }
}

/// Was the program started so that it ignores the signal, as `nohup` and shells' background jobs do?
#[cfg(unix)]
#[expect(unsafe_code, reason = "no safe interface tells how a signal is handled")]
fn is_ignored(number: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the current one to `action`, for which all zeros are a valid value.
    let (outcome, action) = unsafe { (libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()), action.assume_init()) };
    outcome == 0 && action.sa_sigaction == libc::SIG_IGN
}

#[cfg(windows)]
fn is_ignored(_: i32) -> bool {
    false
}
