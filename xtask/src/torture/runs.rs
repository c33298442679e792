//! Training runs of the program on a small model, and what they leave on disk.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Result, cargo, run};
use crate::system::{self, Need};
use crate::test::Runners;

/// Steps of a run that is interrupted: some seconds.
const STEPS: &str = "150";
/// After this time without an end, a process hangs.
const LIMIT: Duration = Duration::from_mins(2);

/// What all parts need.
pub struct Runs {
    pub seed: u64,
    pub directory: PathBuf,
    program: PathBuf,
    model: PathBuf,
    pub runners: Runners,
    /// The weights after a run that nothing interrupted.
    expected: Vec<u8>,
}

/// How a process ended.
pub struct Ended {
    /// The exit status; `None` after a signal that ended it.
    pub status: Option<i32>,
    pub stderr: String,
}

impl Runs {
    pub fn set_up(seed: u64) -> Result<Runs> {
        system::ensure(&[Need::Vulkan])?;
        run(&mut cargo(&["build", "--bin", "streambp"]), "fix the error above")?;
        let directory = std::path::absolute("target/torture").map_err(|error| error.to_string())?;
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
        let program = std::path::absolute("target/debug/streambp").map_err(|error| error.to_string())?;
        let model = directory.join("config.json");
        fs::write(&model, config().to_string()).map_err(|error| error.to_string())?;
        let mut runs = Runs { seed, directory, program, model, runners: Runners::new(false)?, expected: Vec::new() };
        let whole = runs.directory.join("whole");
        let ended = Runs::end(runs.start(&runs.interruptible(&whole), &[])?)?;
        expect(ended.status == Some(0), || format!("an uninterrupted run failed: {}", ended.stderr))?;
        runs.expected = weights(&whole)?;
        Ok(runs)
    }

    /// A source of random numbers for a part.
    pub fn random(&self, part: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(31).wrapping_add(part))
    }

    /// The arguments of a run into a directory.
    pub fn training(&self, out: &Path, steps: &str) -> Vec<String> {
        let arguments = ["train", "--data", "own", "--seq-len", "96", "--json", "--no-tune", "--steps", steps, "--model"];
        let paths = [&self.model, &PathBuf::from("--out"), &out.to_owned()].map(|path| path.display().to_string());
        arguments.map(str::to_owned).into_iter().chain(paths).collect()
    }

    /// The arguments of a run that saves every step.
    pub fn interruptible(&self, out: &Path) -> Vec<String> {
        let mut arguments = self.training(out, STEPS);
        arguments.extend(["--checkpoint-every", "1", "--val-every", "1000"].map(str::to_owned));
        arguments
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[String], more: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.runners.prepare(&mut command);
        command.spawn().map_err(|error| format!("the program cannot be started: {error}"))
    }

    /// Waits for the end of a process. A panic, or a process that hangs, is an error.
    pub fn end(mut child: Child) -> Result<Ended> {
        // Both pipes are emptied while it runs: a full one would stop it.
        let output = child.stdout.take().map(|mut output| std::thread::spawn(move || output.read_to_end(&mut Vec::new())));
        let mut errors = child.stderr.take().expect("stderr is piped");
        let errors = std::thread::spawn(move || {
            let mut said = String::new();
            errors.read_to_string(&mut said).map(|_| said)
        });
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    let _ = child.kill();
                    return Err(format!("a process did not end within {} s", LIMIT.as_secs()));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if let Some(output) = output {
            let _ = output.join();
        }
        let stderr = errors.join().expect("reading does not panic").map_err(|error| error.to_string())?;
        expect(!stderr.contains("panicked"), || format!("it panicked: {stderr}"))?;
        Ok(Ended { status: status.code(), stderr })
    }

    /// Checks that a run ended with the bits of one that nothing interrupted.
    pub fn check_weights(&self, out: &Path) -> Result {
        expect(weights(out)? == self.expected, || format!("the weights in {} differ from those of an uninterrupted run", out.display()))
    }
}

/// Reads the output of a run to its end, since a run whose output nobody takes ends with an error.
pub fn drain(mut output: BufReader<ChildStdout>) -> JoinHandle<()> {
    thread::spawn(move || drop(std::io::copy(&mut output, &mut std::io::sink())))
}

/// The first line of a process's output, and the rest of it.
pub fn first_line(child: &mut Child) -> Result<(String, BufReader<ChildStdout>)> {
    let mut reader = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    reader.read_line(&mut line).map_err(|error| error.to_string())?;
    Ok((line, reader))
}

/// Sends a signal by name.
pub fn send(child: &Child, signal: &str) -> Result {
    let status = Command::new("kill").args(["-s", signal, &child.id().to_string()]).stderr(Stdio::null()).status();
    status.map(|_| ()).map_err(|error| format!("kill cannot be run: {error}"))
}

/// The step of the checkpoint in a directory; 0 if there is none. A checkpoint that cannot be read is an error.
pub fn saved_step(out: &Path) -> Result<u64> {
    let path = out.join("checkpoint.safetensors");
    let broken = |problem: String| format!("{} is broken: {problem}", path.display());
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        file => file.map_err(|error| broken(error.to_string()))?,
    };
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| broken(error.to_string()))?;
    let mut header = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut header).map_err(|error| broken(error.to_string()))?;
    let header: Value = serde_json::from_slice(&header).map_err(|error| broken(error.to_string()))?;
    let end = header.as_object().into_iter().flatten().filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64()).max();
    let size = file.metadata().map_err(|error| broken(error.to_string()))?.len();
    let header_bytes = 8 + u64::from_le_bytes(length);
    expect(end.is_some_and(|end| header_bytes + end == size), || broken("it is not whole".to_owned()))?;
    let step = header["__metadata__"]["step"].as_str().and_then(|step| step.parse().ok());
    step.ok_or_else(|| broken("it has no step".to_owned()))
}

/// An error, unless something holds.
pub fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn weights(out: &Path) -> Result<Vec<u8>> {
    fs::read(out.join("model.safetensors")).map_err(|error| format!("there is no model in {}: {error}", out.display()))
}

/// A model whose step takes milliseconds.
fn config() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": true, "max_position_embeddings": 4096
    })
}
