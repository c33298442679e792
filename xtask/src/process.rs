//! Runs other programs and reports durations.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The result of a chore. An error is a sentence that says what to do.
pub type Result<T = ()> = std::result::Result<T, String>;

/// A command of the cargo that runs this chore.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs a command. `advice` says what to do if it fails.
pub fn run(command: &mut Command, advice: &str) -> Result {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {advice}", shown(command))) }
}

/// Runs a command in parallel with others. It shows the output only if the command fails.
pub fn run_quietly(command: &mut Command, advice: &str) -> Result {
    println!("$ {}", shown(command));
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("`{}` failed: {advice}", shown(command)))
}

/// Runs a command, passes every line of its output to `reader`, and returns whether it succeeded.
pub fn run_reading(command: &mut Command, mut reader: impl FnMut(&str)) -> Result<bool> {
    println!("$ {}", shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_started(command, &error))?;
    let output = child.stdout.take().expect("stdout is piped");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| format!("the output of `{}` cannot be read: {error}", shown(command)))?;
        reader(&String::from_utf8_lossy(&line));
    }
    let status = child.wait().map_err(|error| not_started(command, &error))?;
    Ok(status.success())
}

/// The output of a command, if it succeeds.
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first of these programs in PATH.
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };
    let files = names.iter().flat_map(|name| endings.iter().map(move |ending| format!("{name}{ending}")));
    files.flat_map(|file| directories.iter().map(move |directory| directory.join(&file))).find(|path| path.is_file())
}

/// Runs a phase of a chore, with a heading before and its duration after it.
pub fn phase<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let start = Instant::now();
    let result = work();
    let line = format!("{name}: {}", shown_duration(start.elapsed()));
    println!("== {line}\n");
    PHASES.lock().expect("no phase panics while it holds the lock").push(line);
    result
}

/// The completed phases with their durations.
static PHASES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Builds the command-line program, and gives its path.
pub fn program() -> Result<PathBuf> {
    phase("the program", || run(&mut cargo(&["build", "--bin", "streambp"]), "fix the error above"))?;
    let program = Path::new("target/debug/streambp").with_extension(std::env::consts::EXE_EXTENSION);
    std::path::absolute(program).map_err(|error| error.to_string())
}

/// The durations of all phases, for the end of a long chore.
pub fn durations() -> String {
    PHASES.lock().expect("no phase panics while it holds the lock").join("; ")
}

fn shown_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 { format!("{:.1} s", duration.as_secs_f64()) } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

/// The command as it would be typed, with the name of the program instead of its path.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` cannot be run ({error}): install it, or put it on PATH", shown(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(shown_duration(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(shown_duration(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn a_failing_command_says_what_to_do() {
        let sentence = run(cargo(&["no-such-command"]).stderr(Stdio::null()), "do this").unwrap_err();
        assert_eq!(sentence, "`cargo no-such-command` failed: do this");
    }

    #[test]
    fn a_missing_program_is_named() {
        let sentence = run(&mut Command::new("no-such-program"), "").unwrap_err();
        assert!(sentence.starts_with("`no-such-program` cannot be run"), "{sentence}");
        assert_eq!(find_program(&["no-such-program"]), None);
    }

    #[test]
    fn lines_are_read_and_a_failure_is_reported() {
        let mut lines = 0;
        assert!(run_reading(&mut cargo(&["--version"]), |line| lines += usize::from(line.starts_with("cargo "))).unwrap());
        assert_eq!(lines, 1);
        assert!(!run_reading(cargo(&["no-such-command"]).stderr(Stdio::null()), |_| ()).unwrap());
    }
}
