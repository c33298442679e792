//! Rewards by a command: it reads a line of JSON for each prompt, and prints a number for each completion.

use std::io::{Read, Write};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::group::Group;
use crate::error::{Error, Result};

/// How often the command is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);
/// How long what a stopped command has written is waited for. Something that it started may keep its pipes open.
const GRACE: Duration = Duration::from_secs(1);
/// The last lines of standard error that an error shows.
const LAST_LINES: usize = 10;

/// A command that scores completions. A process of it runs once for all completions of a step.
#[derive(Debug)]
pub(super) struct Command {
    line: String,
    timeout: Duration,
}

/// What a process has left.
struct Outcome {
    /// `None` if it took too long.
    status: Option<ExitStatus>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Command {
    pub fn new(line: &str, timeout: u64) -> Result<Self> {
        if line.trim().is_empty() {
            return Err(Error::Setting("the reward command is empty; give one that prints a number for each completion".to_owned()));
        }
        if timeout == 0 {
            return Err(Error::Setting("the reward command's time limit is 0; give the seconds that it may take".to_owned()));
        }
        Ok(Command { line: line.to_owned(), timeout: Duration::from_secs(timeout) })
    }

    /// The reward of each completion, group by group.
    ///
    /// # Errors
    /// [`Error::Data`] with what happened and the last lines of the command's standard error: if it cannot be started, takes longer than its
    /// limit, fails, or does not print as many numbers as there are completions.
    pub fn score(&self, groups: &[Group]) -> Result<Vec<f64>> {
        let input = groups.iter().map(row).collect();
        let completions: usize = groups.iter().map(|group| group.completions.len()).sum();
        let Outcome { status, stdout, stderr } =
            self.run(input).map_err(|error| Error::Data(format!("the reward command {} cannot be run: {error}", self.line)))?;
        let failed = |what: String| Err(Error::Data(format!("the reward command {} {what}{}", self.line, last_words(&stderr))));
        match status {
            None => return failed(format!("took longer than {} seconds; make it faster, or give it more time", self.timeout.as_secs())),
            Some(status) if !status.success() => return failed(format!("failed ({status})")),
            Some(_) => (),
        }
        match numbers(&String::from_utf8_lossy(&stdout)) {
            Err(what) => failed(what),
            Ok(numbers) if numbers.len() != completions => {
                failed(format!("printed {} numbers for {completions} completions; it must print one for each", numbers.len()))
            }
            Ok(numbers) => Ok(numbers),
        }
    }

    /// Runs a process of it.
    fn run(&self, input: String) -> std::io::Result<Outcome> {
        let mut child = shell(&self.line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        // Apart from the reading, so that neither side waits for the other. A command need not read to the end.
        thread::spawn(move || stdin.write_all(input.as_bytes()));
        let stdout = read(child.stdout.take().expect("it is piped"));
        let stderr = read(child.stderr.take().expect("it is piped"));
        let deadline = Instant::now() + self.timeout;
        let status = wait(&mut child, deadline)?;
        if status.is_none() {
            stop(&mut child)?;
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(GRACE);
        let printed = stdout.recv_timeout(left).ok();
        Ok(Outcome {
            status: status.filter(|_| printed.is_some()),
            stdout: printed.unwrap_or_default(),
            stderr: stderr.recv_timeout(GRACE).unwrap_or_default(),
        })
    }
}

/// A process of the system's shell. On Unix it has a process group of its own, so that it can be stopped with whatever it starts, and Ctrl-C
/// does not reach it: a step is finished first.
fn shell(line: &str) -> Process {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;

        let mut process = Process::new("sh");
        process.arg("-c").arg(line).process_group(0);
        process
    }
    #[cfg(not(unix))]
    {
        let mut process = Process::new("cmd");
        process.arg("/C").arg(line);
        process
    }
}

/// Reads to the end, and sends what was read.
fn read(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is all that there is, and nobody may be waiting for it any longer.
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for the end of a process. `None` if the deadline comes first.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if Instant::now() < deadline => thread::sleep(POLL),
            status => return Ok(status),
        }
    }
}

/// Ends a process, on Unix with its group.
fn stop(child: &mut Child) -> std::io::Result<()> {
    #[cfg(unix)]
    #[expect(unsafe_code, reason = "the standard library has no call for process groups")]
    // SAFETY: the call takes numbers. The process has not been waited for, so its group is still its own.
    unsafe {
        libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL);
    }
    child.kill()?;
    child.wait().map(drop)
}

/// The line that the command reads: the columns of a row, with its completions.
fn row(group: &Group) -> String {
    let mut row = group.columns.clone();
    row.entry("prompt").or_insert_with(|| Value::from(group.prompt.as_str()));
    row.insert("completions".to_owned(), Value::from(group.completions.as_slice()));
    Value::from(row).to_string() + "\n"
}

/// The numbers of JSON arrays, or of lines. The error says what else was printed.
fn numbers(printed: &str) -> Result<Vec<f64>, String> {
    let words = printed.split(|c: char| c.is_whitespace() || "[],".contains(c)).filter(|word| !word.is_empty());
    let number = |word: &str| match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Err(_) if !["null", "None"].contains(&word) => Err(format!(
            "printed \"{}\", which is no number; it must print a number for each completion",
            crate::error::shortened(word, 40)
        )),
        _ => Err(format!("printed {word}; each completion needs a finite number")),
    };
    words.map(number).collect()
}

/// The last lines of standard error, as the end of a sentence.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match &lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => String::new(),
        last => format!(". Its standard error ends with:\n{}", last.join("\n")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn groups(completions: &[usize]) -> Vec<Group> {
        let group = |&count: &usize| Group {
            prompt: "Sun or rain?".to_owned(),
            columns: [("answer".to_owned(), Value::from("Sun"))].into_iter().collect(),
            completions: vec!["Sun.\n".to_owned(); count],
        };
        completions.iter().map(group).collect()
    }

    fn score(line: &str, completions: &[usize]) -> Result<Vec<f64>> {
        Command::new(line, 20).unwrap().score(&groups(completions))
    }

    fn said(line: &str) -> String {
        score(line, &[2]).unwrap_err().to_string()
    }

    #[test]
    fn a_command_reads_a_line_for_each_prompt() {
        let expected = r#"{"answer":"Sun","completions":["Sun.\n"],"prompt":"Sun or rain?"}"#;
        assert_eq!(row(&groups(&[1])[0]), format!("{expected}\n"));
        assert_eq!(score("wc -l", &[1]).unwrap(), [1.0]);
    }

    #[test]
    fn numbers_are_read_from_arrays_and_from_lines() {
        for printed in ["[1, 0.5]\\n[-2e-1]\\n", "1\\n0.5\\n-0.2\\n", "[1,\\n0.5][-0.2]"] {
            assert_eq!(score(&format!("printf '{printed}'"), &[2, 1]).unwrap(), [1.0, 0.5, -0.2], "{printed}");
        }
    }

    #[test]
    fn whatever_goes_wrong_is_said_with_the_last_words() {
        assert!(said("echo 1").contains("printed 1 numbers for 2 completions"));
        assert!(said("echo 1 2 3").contains("printed 3 numbers for 2"));
        assert!(said("echo '[1, null]'").contains("printed null;") && said("echo 1 NaN").contains("printed NaN;"));
        assert!(said("echo 1 1e999").contains("a finite number") && said("echo good bad").contains("\"good\", which is no number"));
        let failed = said("seq 1 12 >&2; exit 3");
        assert!(failed.contains("exit status: 3") && failed.ends_with("ends with:\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12"), "{failed}");
        assert!(said("no_such_command_here").contains("no_such_command_here: "));
        assert!(Command::new(" ", 1).is_err() && Command::new("true", 0).is_err());
    }

    #[test]
    fn a_command_that_takes_too_long_is_stopped_with_what_it_started() {
        let started = Instant::now();
        let said = Command::new("echo begun >&2; sleep 60 | sleep 60", 1).unwrap().score(&groups(&[1])).unwrap_err().to_string();
        assert!(said.contains("longer than 1 seconds") && said.ends_with("\nbegun"), "{said}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    /// More than a pipe holds, in both directions; and nothing that is read.
    #[test]
    fn much_input_blocks_nothing() {
        let many = 40_000;
        assert_eq!(score("cat >&2; yes 1 | head -n 40000", &[many]).unwrap().len(), many);
        assert_eq!(score("yes 1 | head -n 40000", &[many]).unwrap().len(), many);
    }
}
