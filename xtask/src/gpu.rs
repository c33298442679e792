//! Tests and measures the adapter at hand, within five minutes, and writes what was found to `docs/measurements/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::measurements::{self, DIRECTORY};
use crate::process::{Result, cargo, output_of, phase, program, run};
use crate::runtime::RuntimeDirectory;

/// The time for everything but the build.
const TIME: Duration = Duration::from_mins(5);
/// The time that a step of the table is worth waiting for. What takes longer is left out, and said.
const TIME_OF_ROW: Duration = Duration::from_secs(90);

/// Models, with the options that they are trained with.
const MODELS: [(&str, &[&str]); 4] = [
    ("tiny", &["--model", "tiny"]),
    ("medium", &["--model", "medium"]),
    ("large", &["--model", "large"]),
    ("Qwen3-0.6B, LoRA of rank 16", &["--model", QWEN3, "--lora-rank", "16"]),
];

/// The sizes of Qwen3-0.6B. Its weights are random: times do not depend on them.
const QWEN3: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072,
"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6,
"rope_theta": 1000000, "tie_word_embeddings": true, "hidden_act": "silu", "max_position_embeddings": 40960}"#;

/// The rows of the table, the most telling first: models by their place above, and tokens.
const ROWS: [(usize, u32); 8] = [(0, 512), (1, 4096), (2, 4096), (1, 16_384), (3, 4096), (0, 4096), (2, 1024), (3, 16_384)];
/// The operations of a step that are kept, the most expensive first.
const OPS: usize = 12;
/// The kernels' tests, and those of equal bits.
const TESTS: [&str; 3] = ["ops::", "same_bits::", "verify::"];

/// Builds, tests and measures. With `is_built` it takes what was built before, for a machine without a compiler.
pub fn gpu(is_built: bool) -> Result {
    let (program, tests) = if is_built { (path("target/debug/streambp")?, None) } else { (program()?, Some(build_tests()?)) };
    let started = Instant::now();
    let runtime = RuntimeDirectory::ensure()?;
    let mut document = json!({ "commit": commit(), "date": date(), "rows": [] });
    if tests.is_some() {
        document["tests"] = json!(phase("tests", || Ok(test(&runtime)))?);
    }
    let mut left_out = Vec::new();
    for (model, tokens) in ROWS {
        let (name, options) = MODELS[model];
        let left = TIME.saturating_sub(started.elapsed()).min(TIME_OF_ROW);
        let what = format!("{name}, {tokens} tokens");
        let measured = match left {
            Duration::ZERO => None,
            left => phase(&what, || bench(&program, &runtime, options, tokens, left))?,
        };
        match measured {
            Some(measured) => add(&mut document, name, tokens, measured),
            None => left_out.push(what),
        }
    }
    document["left_out"] = json!(left_out);
    if document["adapter"].is_null() {
        return Err("nothing was measured: see the errors above, or take a faster adapter".to_owned());
    }
    let file = Path::new(DIRECTORY).join(format!("{}.json", measurements::slug(&document)));
    let text = format!("{document}\n");
    std::fs::create_dir_all(DIRECTORY).and_then(|()| std::fs::write(&file, text)).map_err(|e| format!("{}: {e}", file.display()))?;
    println!("{} is written, with {} rows", file.display(), document["rows"].as_array().map_or(0, Vec::len));
    measurements::write_document()
}

fn path(text: &str) -> Result<PathBuf> {
    let path = Path::new(text).with_extension(std::env::consts::EXE_EXTENSION);
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    if path.is_file() { Ok(path) } else { Err(format!("{} is not there: build it first", path.display())) }
}

fn build_tests() -> Result {
    phase("build of the tests", || run(&mut cargo(&["test", "--test", "streambp", "--no-run"]), "fix the error above"))
}

/// Do the kernels' tests pass?
fn test(runtime: &RuntimeDirectory) -> bool {
    let mut tests = cargo(&["test", "--quiet", "--test", "streambp", "--"]);
    run(runtime.give_to(tests.args(TESTS)), "see the failing tests above").inspect_err(|sentence| eprintln!("{sentence}")).is_ok()
}

/// A row of the table, as the program measures it. `None` if that takes too long or fails.
fn bench(program: &Path, runtime: &RuntimeDirectory, model: &[&str], tokens: u32, time: Duration) -> Result<Option<Value>> {
    let mut command = Command::new(program);
    command.arg("bench").args(model).args(["--seq-len", &tokens.to_string(), "--strategies", "checkpoint,stream"]);
    command
        .args(["--chunk", "auto,1024,512,128", "--steps", "3", "--matmul", "512,1024,2048", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = runtime.give_to(&mut command).spawn().map_err(|error| format!("the program cannot be run: {error}"))?;
    let output = child.stdout.take().expect("stdout is piped");
    let reader = std::thread::spawn(move || serde_json::from_reader::<_, Value>(output).ok());
    let deadline = Instant::now() + time;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    if status.is_none() {
        println!("left out: it takes longer than {} s here", time.as_secs());
        child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
    }
    Ok(reader.join().expect("reading does not panic").filter(|_| status.is_some_and(|status| status.success())))
}

/// Adds a row, and what the adapter is.
fn add(document: &mut Value, name: &str, tokens: u32, mut measured: Value) {
    for strategy in measured["strategies"].as_array_mut().into_iter().flatten() {
        strategy["ops"].as_array_mut().into_iter().for_each(|ops| ops.truncate(OPS));
    }
    for field in ["adapter", "matmul"] {
        document[field] = measured[field].clone();
    }
    document["fma_gflops"] = measured["strategies"][0]["adapter_peak_gflops"].clone();
    let row = json!({ "model": name, "tokens": tokens, "same_bits": measured["same_bits"], "strategies": measured["strategies"] });
    document["rows"].as_array_mut().expect("rows are a list").push(row);
}

fn commit() -> String {
    let short = output_of(Command::new("git").args(["rev-parse", "--short=10", "HEAD"]));
    short.unwrap_or_else(|| "unknown".to_owned())
}

/// The date as year, month and day, UTC.
fn date() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    measurements::civil_date(seconds / 86_400)
}
