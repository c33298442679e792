//! Options at random, sensible and absurd: a run works, or ends with one sentence.

use std::fs;
use std::time::{Duration, Instant};

use super::Row;
use super::runs::{Runs, expect};
use crate::process::Result;

/// Options and their values.
const OPTIONS: [(&str, &[&str]); 18] = [
    ("--seq-len", &["1", "2", "63", "64", "65", "200", "1000", "0", "4294967295"]),
    ("--batch", &["1", "2", "5", "0"]),
    ("--accumulate", &["1", "3", "0"]),
    ("--strategy", &["standard", "checkpoint", "stream", "flash"]),
    ("--chunk", &["1", "64", "100", "100000", "0"]),
    ("--logits-chunk", &["1", "64", "100000"]),
    ("--logits-bytes", &["1", "4kB", "1GiB", "-1"]),
    ("--save-activations", &["attention", "all", "mlp:1,norms", "nothing"]),
    ("--lr", &["0", "1e-30", "1e-3", "1", "1e30", "nan", "inf", "-1"]),
    ("--min-lr", &["0", "1", "1e300", "nan"]),
    ("--warmup", &["0", "1", "18446744073709551615"]),
    ("--weight-decay", &["0", "0.1", "1e30", "-1"]),
    ("--clip", &["1e-30", "1", "1e30", "0", "inf"]),
    ("--seed", &["0", "18446744073709551615"]),
    ("--lora-rank", &["1", "7", "32", "0", "4000000000"]),
    ("--frozen", &["f32", "f16", "bf16", "int8", "int4"]),
    ("--budget", &["1", "1MiB", "64MiB"]),
    ("--data", &["own", "recall", "recall-cut", "copy", "sort", "sum"]),
];
const SWITCHES: [&str; 3] = ["--offload", "--fixed-chunks", "--use-rslora"];

pub fn try_for(runs: &Runs, time: Duration) -> Result<Row> {
    let mut random = runs.random(3);
    let (started, out) = (Instant::now(), runs.directory.join("options"));
    let (mut trained, mut refused, mut diverged) = (0, 0, 0);
    while started.elapsed() < time {
        let _ = fs::remove_dir_all(&out);
        let mut chosen = Vec::new();
        for (option, values) in OPTIONS {
            if random.u32(..3) == 0 {
                chosen.extend([option.to_owned(), values[random.usize(..values.len())].to_owned()]);
            }
        }
        chosen.extend(SWITCHES.into_iter().filter(|_| random.u32(..5) == 0).map(str::to_owned));
        let mut arguments = runs.training(&out, "3");
        // What is chosen takes the place of what every run has.
        for (option, fallback) in [("--data", "own"), ("--seq-len", "96")] {
            let at = arguments.iter().position(|argument| argument == option).expect("every run has it");
            arguments.drain(at..at + 2);
            if !chosen.iter().any(|argument| argument == option) {
                chosen.extend([option.to_owned(), fallback.to_owned()]);
            }
        }
        arguments.extend(chosen);
        let ended = Runs::end(runs.start(&arguments, &[])?)?;
        let last = ended.stderr.lines().last().unwrap_or_default();
        match ended.status {
            Some(0) => trained += 1,
            Some(1) if last.starts_with("error: ") && last.contains("not finite") => diverged += 1,
            Some(1) if last.starts_with("error: ") => refused += 1,
            // The parser of options prints its usage below its sentence.
            Some(2) if ended.stderr.contains("error: ") => refused += 1,
            status => return Err(format!("{arguments:?} ended with {status:?}: {}", ended.stderr)),
        }
    }
    expect(trained > 0, || "no combination of options trained".to_owned())?;
    let did = format!(
        "{} combinations: {trained} trained, {diverged} diverged, {refused} were refused, each in a sentence",
        trained + diverged + refused
    );
    Ok(("options at random".to_owned(), did))
}
