//! What the program prints. Everything goes through here, so that a closed pipe or a full disk is an error like any other.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

use serde::Serialize;
use streambp::error::{Error, Result};

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
    let _ = writeln!(stderr(), "{text}");
}
