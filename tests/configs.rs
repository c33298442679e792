//! What a run says about the sequence length that `config.json` was made for.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command_line::{directory, run, small_model, text};

fn config(model: &Path) -> Value {
    serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap()
}

/// What a run with sequences of 96 tokens says on standard error.
fn notes(model: &Path, out: &Path) -> String {
    let arguments = ["train", "--model", text(model), "--data", "own", "--seq-len", "96", "--steps", "1", "--out", text(out)];
    let output = run(&arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_long_sequence_gets_a_note_and_the_setting_that_it_names_is_taken() {
    let here = directory("configs");
    let model = small_model(&here);
    let mut edited = config(&model);
    edited["max_position_embeddings"] = json!(32);
    fs::write(model.join("config.json"), edited.to_string()).unwrap();
    let data = here.join("data.txt");
    fs::write(&data, "a".repeat(100)).unwrap();
    let evaluated = run(&["eval", "--model", text(&model), "--data", text(&data), "--seq-len", "96"]);
    let said = String::from_utf8_lossy(&evaluated.stderr);
    assert!(evaluated.status.success() && said.contains("a sequence length of 96 is more than the 32 positions"), "{said}");

    let (first, second) = (here.join("first"), here.join("second"));
    let said = notes(&model, &first);
    assert!(said.contains("note: a sequence length of 96 is more than the 32 positions that the model was made for"), "{said}");

    let mut written = config(&first);
    let setting = said.lines().find_map(|line| line.split("set rope_parameters in config.json to ").nth(1)).unwrap();
    written["rope_parameters"] = serde_json::from_str(setting).unwrap();
    fs::write(first.join("config.json"), written.to_string()).unwrap();
    let said = notes(&first, &second);
    assert!(!said.contains("positions"), "{said}");
    assert_eq!(config(&second)["rope_parameters"]["rope_type"], "yarn");
}
