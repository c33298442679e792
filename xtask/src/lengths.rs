//! The table of `docs/planning.md` that sets the longest sequences of plans beside those that the paper reports.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Result, program};

const DOCUMENT: &str = "docs/planning.md";
/// Between these lines the document is made from plans.
const BEGIN: &str = "<!-- made by `cargo xtask lengths` from `plan --json` -->";
const END: &str = "<!-- end of what is made -->";

/// A model on a GPU, with what the paper reports.
struct Reported {
    name: &'static str,
    gib: u32,
    /// Hidden size, intermediate size, layers, heads of queries; there are 8 heads of keys and values, of 128 columns each.
    sizes: [u32; 4],
    is_tied: bool,
    /// Layers of a group, about the number with which a token takes the least memory.
    group: u32,
    /// Thousands of tokens with gradient checkpointing, if there is such a number, and with StreamBP.
    tokens: [Option<f64>; 2],
}

/// Table 3 and figure 1 of the paper: supervised fine-tuning with LoRA of rank 32.
const REPORTED: [Reported; 5] = [
    Reported { name: "Qwen3 4B", gib: 80, sizes: [2560, 9728, 36, 32], is_tied: true, group: 4, tokens: [Some(36.5), Some(247.0)] },
    Reported { name: "Qwen3 8B", gib: 80, sizes: [4096, 12_288, 36, 32], is_tied: false, group: 6, tokens: [Some(30.6), Some(142.4)] },
    Reported { name: "Qwen3 14B", gib: 80, sizes: [5120, 17_408, 40, 40], is_tied: false, group: 5, tokens: [Some(23.0), Some(84.6)] },
    Reported { name: "Qwen3 32B", gib: 80, sizes: [5120, 25_600, 64, 64], is_tied: false, group: 8, tokens: [Some(5.9), Some(16.3)] },
    Reported { name: "Qwen3 8B", gib: 24, sizes: [4096, 12_288, 36, 32], is_tied: false, group: 6, tokens: [None, Some(15.0)] },
];

/// Writes the table into the document.
pub fn write() -> Result {
    let document = std::fs::read_to_string(DOCUMENT).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let (before, rest) = document.split_once(BEGIN).ok_or_else(|| format!("{DOCUMENT} lacks the line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{DOCUMENT} lacks the line {END}"))?;
    let made = format!("{before}{BEGIN}\n\n{}\n{END}{after}", table()?);
    std::fs::write(DOCUMENT, made).map_err(|error| format!("{DOCUMENT}: {error}"))
}

fn table() -> Result<String> {
    let program = program()?;
    let mut out = String::from(
        "| model, memory | checkpointing: paper | planned | StreamBP: paper | planned | activations in bf16 | and groups | and host offload |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for reported in &REPORTED {
        let Reported { name, gib, group, tokens, .. } = reported;
        let planned = |options: &[&str]| longest(&program, reported, options);
        let group = group.to_string();
        let bf16 = ["--strategy", "stream", "--chunk", "128", "--activation-dtype", "bf16"];
        let columns = [
            thousands(tokens[0]),
            thousands(Some(planned(&["--strategy", "checkpoint"])?)),
            thousands(tokens[1]),
            thousands(Some(planned(&bf16[..4])?)),
            thousands(Some(planned(&bf16)?)),
            format!("{} (g = {group})", thousands(Some(planned(&[&bf16[..], &["--layer-group", &group]].concat())?))),
            thousands(Some(planned(&[&bf16[..], &["--offload"]].concat())?)),
        ];
        writeln!(out, "| {name}, {gib} GiB | {} |", columns.join(" | ")).expect("a string takes all that is written");
    }
    Ok(out)
}

/// The longest sequence that fits, in thousands of tokens.
fn longest(program: &std::path::Path, reported: &Reported, options: &[&str]) -> Result<f64> {
    let [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads] = reported.sizes;
    let config = json!({
        "model_type": "qwen3", "hidden_size": hidden_size, "intermediate_size": intermediate_size,
        "num_hidden_layers": num_hidden_layers, "num_attention_heads": num_attention_heads, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 151_936, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "max_position_embeddings": 40_960, "hidden_act": "silu",
        "attention_bias": false, "tie_word_embeddings": reported.is_tied,
    });
    let budget = format!("{}GiB", reported.gib);
    let mut plan = Command::new(program);
    plan.args(["plan", "--json", "--model", &config.to_string(), "--seq-len", "64", "--budget", &budget, "--limits", "vulkan"]);
    plan.args(["--lora-rank", "32", "--frozen", "bf16"]).args(options);
    let run = plan.output().map_err(|error| format!("{plan:?}: {error}"))?;
    let found: Option<Value> = serde_json::from_slice(&run.stdout).ok();
    let tokens = found.and_then(|found| found["max_seq_len"].as_f64());
    tokens.map(|tokens| tokens / 1000.0).ok_or_else(|| format!("{plan:?} found no length: {}", String::from_utf8_lossy(&run.stderr)))
}

fn thousands(tokens: Option<f64>) -> String {
    tokens.map_or_else(|| "–".to_owned(), |tokens| format!("{tokens:.1}"))
}
