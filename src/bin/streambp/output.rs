//! What the program prints. Everything goes through here, so that a closed pipe or a full disk is an error like any other.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use streambp::error::{Error, Result};

/// Is this one of several processes that do the same, of which another one speaks?
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// From now on only errors are printed: another process says the rest.
pub fn fall_silent() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

fn is_silent() -> bool {
    IS_SILENT.load(Ordering::Relaxed)
}

/// Prints a line on standard output.
///
/// # Errors
/// [`Error::Io`] if nobody takes it.
pub fn line(text: impl Display) -> Result<()> {
    part(format_args!("{text}\n"))
}

/// Prints a part of a line on standard output, to be seen at once.
///
/// # Errors
/// As [`line`].
pub fn part(text: impl Display) -> Result<()> {
    if is_silent() {
        return Ok(());
    }
    let mut out = stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|e| Error::io("standard output", e))
}

/// Prints one JSON document on a line of its own.
///
/// # Errors
/// As [`line`].
pub fn json(document: &impl Serialize) -> Result<()> {
    line(serde_json::to_string(document).expect("what is printed can be written as JSON"))
}

/// Says something on standard error. Nothing depends on whether somebody reads it.
pub fn say(text: impl Display) {
    if !is_silent() {
        error(text);
    }
}

/// Says what ended the program, whoever else speaks.
pub fn error(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}
