//! How a run was started, as its directory says: `--resume DIR` takes it up from there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};
use streambp::error::{Error, Result};
use streambp::model::Preset;
use streambp::train::run_file::{RUN, RunFile, is_given_text, parts};

/// The command that runs.
const TRAIN: &str = "train";
/// Options that say where a run is saved, and nothing of what it is.
const PLACE: [&str; 3] = ["out", "resume", "overwrite"];
/// Options that may name a file or a directory.
const PATHS: [&str; 4] = ["model", "data", "tokenizer", "lora"];

/// A command line with what the directory of a run adds to it.
#[derive(Default)]
pub struct Completed {
    /// The arguments, from the program's name on.
    pub arguments: Vec<OsString>,
    /// When the run's text was written, if that text is still meant.
    pub written: Option<u64>,
}

/// Adds to `train --resume DIR` the arguments of that run for which no others are given.
///
/// # Errors
/// [`Error::Setting`] if the directory does not say how its run was started, or [`Error::Io`] with the file.
pub fn complete(cli: Command, given: Vec<OsString>) -> Result<Completed> {
    let train = cli.find_subcommand(TRAIN).expect("the program trains").clone();
    // Whatever else is wrong is said when everything is read.
    let matches = cli.ignore_errors(true).try_get_matches_from(&given);
    let matches = matches.as_ref().ok().and_then(|matches| matches.subcommand_matches(TRAIN));
    let directory = matches.and_then(|matches| matches.get_one::<PathBuf>("resume").cloned());
    let file = directory.as_deref().map_or(Ok(None), read)?;
    if let (Some(matches), Some(directory), None) = (matches, &directory, &file)
        && !matches.contains_id("model")
    {
        let directory = directory.display();
        return Err(Error::Setting(format!(
            "{directory} has no {RUN}, which says how its run was started; give --model, --data, --seq-len and --steps as it was"
        )));
    }
    let (Some(matches), Some(directory), Some(file)) = (matches, directory, file) else {
        return Ok(Completed { arguments: given, written: None });
    };
    let is_given = |option: &str| {
        let id = train.get_arguments().find(|argument| argument.get_long() == Some(option)).map(clap::Arg::get_id);
        id.is_some_and(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
    };
    // Where a run is saved is for the user to say: the file may be a stranger's.
    let is_added = |argument: &&String| !PLACE.contains(&parts(argument).0) && !is_given(parts(argument).0);
    let added = file.arguments.iter().filter(is_added).map(|argument| placed(argument, &directory));
    let behind = given.iter().position(|argument| argument == TRAIN).map_or(given.len(), |at| at + 1);
    let arguments = given[..behind].iter().cloned().chain(added).chain(given[behind..].iter().cloned()).collect();
    Ok(Completed { arguments, written: file.written.filter(|_| !is_given("data")) })
}

/// What a directory says of its run, if it says anything.
fn read(directory: &Path) -> Result<Option<RunFile>> {
    if directory.is_file() {
        let shown = directory.display();
        return Err(Error::Setting(format!("{shown} is a file; if it is the zip of a run, unpack it, and give --resume its directory")));
    }
    let path = directory.join(RUN);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(|e| Error::io(&path, e))?;
    serde_json::from_slice(&bytes).map(|file| Some(with_names_of_today(file))).map_err(|e| {
        Error::Setting(format!(
            "{} cannot be read ({e}); give the options of the run with --out {} --resume",
            path.display(),
            directory.display()
        ))
    })
}

/// The file of a run with today's names. Once `--epsilon` was that of AdamW; there were no runs of the objective grpo then, whose it is now.
fn with_names_of_today(mut file: RunFile) -> RunFile {
    if file.value("objective") != Some("grpo") {
        for argument in &mut file.arguments {
            if let ("epsilon", Some(value)) = parts(argument) {
                *argument = format!("--adam-epsilon={value}");
            }
        }
    }
    file
}

/// An argument of a run's file, with a path in the run's directory.
fn placed(argument: &str, directory: &Path) -> OsString {
    match parts(argument) {
        (name, Some(value)) if PATHS.contains(&name) && names_a_path(value) && directory.join(value).exists() => {
            format!("--{name}={}", directory.join(value).display()).into()
        }
        _ => argument.into(),
    }
}

fn names_a_path(value: &str) -> bool {
    is_given_text(value) && Preset::named(value).is_none()
}

/// The arguments that make a run, as its file has them. Paths in `out` begin there, so that the directory can be moved.
pub fn arguments(train: &Command, matches: &ArgMatches, out: Option<&Path>) -> Vec<String> {
    let mut arguments = Vec::new();
    for argument in train.get_arguments() {
        let (id, Some(name)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
        if PLACE.contains(&name) || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            arguments.push(format!("--{name}"));
            continue;
        }
        let values: Vec<String> = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned()).collect();
        // Only a list whose values have commas between them is one argument: a pattern may have a comma within.
        let values = if argument.get_value_delimiter().is_some() { vec![values.join(",")] } else { values };
        let argument = |value| format!("--{name}={}", if PATHS.contains(&name) { lasting(value, out) } else { value });
        arguments.extend(values.into_iter().map(argument));
    }
    arguments
}

/// A path that is the same from everywhere.
fn lasting(value: String, out: Option<&Path>) -> String {
    if !names_a_path(&value) || !Path::new(&value).exists() {
        return value;
    }
    let inside = |out: &Path| Some(Path::new(&value).canonicalize().ok()?.strip_prefix(out.canonicalize().ok()?).ok()?.to_owned());
    if let Some(inside) = out.and_then(inside) {
        // Also where names are separated otherwise.
        return inside.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/");
    }
    std::path::absolute(&value).map_or(value, |path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epsilon_of_an_older_run_is_that_of_adamw() {
        let of = |arguments: &[&str]| {
            let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
            with_names_of_today(RunFile { arguments, written: None }).arguments
        };
        assert_eq!(of(&["--epsilon=1e-7", "--beta1=0.8"]), ["--adam-epsilon=1e-7", "--beta1=0.8"]);
        assert_eq!(of(&["--objective=dpo", "--epsilon=1e-7"]), ["--objective=dpo", "--adam-epsilon=1e-7"]);
        assert_eq!(of(&["--objective=grpo", "--epsilon=0.1"]), ["--objective=grpo", "--epsilon=0.1"]);
    }
}
