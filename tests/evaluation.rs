//! The loss of models on data: against numbers that are known otherwise.

use std::fs;

use serde_json::Value;

use crate::command_line::{complaint, directory, json, run, small_model, text, uniform_model};

const TEXT: &str = "All happy families are alike; each unhappy family is unhappy in its own way. ";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_uniform_model_has_the_loss_of_its_vocabulary() {
    let here = directory("uniform");
    let model = uniform_model(&here);
    let data = here.join("book.txt");
    fs::write(&data, format!("\u{feff}{}", TEXT.repeat(3))).unwrap();
    let found = json(&["eval", "--model", text(&model), "--data", text(&data), "--seq-len", "100", "--batch", "2", "--json"]);
    let (loss, labels) = (number(&found["loss"]), found["labels"].as_u64().unwrap());
    assert!((loss - 256f64.ln()).abs() < 1e-5 && (number(&found["perplexity"]) - 256.0).abs() < 1e-2, "{found}");
    assert_eq!(labels as usize, 3 * TEXT.len() - 1, "every token but the first");
    let count = |at: &Value, field: &str| at[field].as_u64().unwrap();
    let by_position = found["by_position"].as_array().unwrap().iter();
    let positions: Vec<(u64, u64, u64)> = by_position.map(|at| (count(at, "from"), count(at, "to"), count(at, "labels"))).collect();
    // Sequences of 100, 100 and 30 tokens.
    assert_eq!(positions, [(1, 1, 3), (2, 3, 6), (4, 7, 12), (8, 15, 24), (16, 31, 47), (32, 63, 64), (64, 127, 74)]);
}

#[test]
fn the_loss_is_that_of_the_validation_of_a_run() {
    let here = directory("evaluation");
    let (data, held_out, out) = (here.join("book.txt"), here.join("held_out.txt"), here.join("out"));
    let all = TEXT.repeat(42);
    fs::write(&data, &all).unwrap();
    let train = ["train", "--model", "tiny", "--data", text(&data), "--seq-len", "64", "--steps", "2", "--out", text(&out)];
    let lines = run(&[&train[..], &["--json"]].concat());
    let last: Value = serde_json::from_slice(lines.stdout.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap()).unwrap();
    // The last tenth is held out, and the first four sequences of it are validated.
    let tail = &all[all.len() - all.len() / 10..];
    fs::write(&held_out, &tail[..=4 * 64]).unwrap();
    for batch in ["1", "2"] {
        let found = json(&["eval", "--model", text(&out), "--data", text(&held_out), "--seq-len", "64", "--batch", batch, "--json"]);
        let (loss, expected) = (number(&found["loss"]), number(&last["validation_loss"]));
        assert!((loss - expected).abs() < 1e-4, "{loss} and {expected}");
    }
}

/// Only replies count, and what adapters learned shows.
#[test]
fn adapters_are_evaluated_on_conversations() {
    let here = directory("evaluation_of_adapters");
    let model = small_model(&here);
    let (data, out) = (here.join("talks.json"), here.join("adapters"));
    let talk = r#"{"messages": [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Yes."}]}"#;
    fs::write(&data, format!("[{}]", [talk; 8].join(",\n"))).unwrap();
    let on = ["--model", text(&model), "--data", text(&data), "--seq-len", "160"];
    let train = run(&[&["train"][..], &on, &["--lora-rank", "4", "--steps", "30", "--lr", "0.02", "--out", text(&out)]].concat());
    let said = String::from_utf8_lossy(&train.stderr);
    assert!(said.contains("talks.json: 8 conversations, 8 documents of "), "{said}");
    let before = json(&[&["eval"][..], &on, &["--json"]].concat());
    let after = json(&[&["eval"][..], &on, &["--lora", text(&out), "--json"]].concat());
    assert_eq!((&before["labels"], &after["labels"]), (&(8 * "Yes.<|eot_id|>".len()).into(), &before["labels"]));
    assert!(number(&after["loss"]) < 0.95 * number(&before["loss"]), "{before} and {after}");
    let table = run(&[&["eval"][..], &on].concat());
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("perplexity") && table.contains("64 to 127"), "{table}");

    let empty = here.join("empty.txt");
    fs::write(&empty, "a").unwrap();
    let said = complaint(&["eval", "--model", text(&model), "--data", text(&empty), "--seq-len", "8"]);
    assert!(said.contains("two tokens or more"), "{said}");
}
