//! StreamBP as a native contestant, and what gives all others their task.
//!
//! `ours export DIR` writes the task: `task.json`, `weights.safetensors`, `text.bin`.
//! `ours train LENGTH VARIANT` opens a run, prints a line of JSON about it, and takes a step for each line that it reads.

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use peers_ours::{Task, Trainer};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["export", directory] => export(Path::new(directory)),
        ["train", length, variant] => pollster::block_on(train(length, variant)),
        _ => Err("call it as `ours export DIR` or `ours train LENGTH VARIANT`".into()),
    };
    outcome.map_or_else(
        |error| {
            say(&json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn export(directory: &Path) -> Outcome {
    let task = Task::new()?;
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("task.json"), task.to_json().to_string())?;
    std::fs::write(directory.join("weights.safetensors"), task.to_safetensors())?;
    std::fs::write(directory.join("text.bin"), task.text_bytes())?;
    Ok(())
}

async fn train(length: &str, variant: &str) -> Outcome {
    let mut trainer = Trainer::open(length.parse()?, variant).await?;
    say(&json!({ "adapter": trainer.adapter(), "detail": trainer.strategy().kind.to_string() }));
    for line in std::io::stdin().lock().lines() {
        line?;
        let started = Instant::now();
        let loss = trainer.step().await?;
        say(&json!({ "loss": loss, "seconds": started.elapsed().as_secs_f64(), "bytes": trainer.bytes() }));
    }
    Ok(())
}

fn say(value: &Value) {
    println!("{value}");
    // Whoever listens may have gone.
    let _ = std::io::stdout().flush();
}
