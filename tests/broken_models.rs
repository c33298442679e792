//! Broken model files: each is refused with one sentence that names the problem.
//!
//! The table is shared with the page's tests. Each case edits the files of a good model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use streambp::model::{Config, Dtype, Lora, ModelSpec, Parameter, Parameters, Projection, TensorNames, Weights, save_adapter, save_model};

use crate::command_line::{PROGRAM, directory};

/// The model of the table: two layers, hidden size 8, the byte vocabulary.
fn config() -> Config {
    Config::llama([8, 12, 2, 2, 1, 4])
}

#[test]
fn every_broken_file_gets_one_sentence() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("broken_models.json")).unwrap();
    assert!(cases.len() >= 30);
    let root = directory("broken-models");
    for (number, case) in cases.iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let directory = root.join(number.to_string());
        let edited = write_base(&directory, case["base"].as_str().unwrap());
        case["edits"].as_array().unwrap().iter().for_each(|edit| apply(&edited, edit));
        let sentence = refusal(&directory, edited != directory);
        for word in case["says"].as_array().unwrap() {
            assert!(sentence.contains(word.as_str().unwrap()), "{name}: {sentence}");
        }
    }
}

/// The unedited models of the table are good.
#[test]
fn every_base_is_accepted() {
    let root = directory("good-models");
    for base in ["model", "sharded", "adapter"] {
        let directory = root.join(base);
        let has_adapter = write_base(&directory, base) != directory;
        let output = generate(&directory, has_adapter).output().unwrap();
        assert!(output.status.success(), "{base}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Writes a good model. Returns the directory whose files a case edits.
fn write_base(directory: &Path, base: &str) -> PathBuf {
    let weights = Weights::init(&config(), 1);
    save_model(directory, &config(), &weights).unwrap();
    match base {
        "model" => directory.to_owned(),
        "sharded" => {
            shard(directory, &weights);
            directory.to_owned()
        }
        "adapter" => {
            let lora = Lora { rank: 2, alpha: 4.0, use_rslora: false, targets: vec![Projection::Query, Projection::Value], layers: None };
            let spec = ModelSpec::lora(&config(), lora, Dtype::F32).unwrap();
            let adapter = directory.join("adapter");
            save_adapter(&adapter, &spec, directory.to_str().unwrap(), &Weights::init(&spec, 1)).unwrap();
            adapter
        }
        other => panic!("unknown base {other}"),
    }
}

/// Splits the weights into three shards with an index.
fn shard(directory: &Path, weights: &Weights) {
    fs::remove_file(directory.join("model.safetensors")).unwrap();
    let parameters = Parameters::new(&config());
    let parameters: Vec<&Parameter> = parameters.iter().map(|(_, parameter)| parameter).collect();
    let mut map = serde_json::Map::new();
    for (number, shard) in parameters.chunks(parameters.len().div_ceil(3)).enumerate() {
        let file = format!("model-0000{}-of-00003.safetensors", number + 1);
        fs::write(directory.join(&file), weights.to_safetensors(shard.iter().copied(), &TensorNames::default())).unwrap();
        map.extend(shard.iter().map(|parameter| (parameter.name.clone(), json!(file))));
    }
    let index = json!({ "metadata": {}, "weight_map": map });
    fs::write(directory.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

fn apply(directory: &Path, edit: &Value) {
    let path = directory.join(edit["file"].as_str().unwrap());
    if let Some(text) = edit["write"].as_str() {
        return fs::write(&path, text).unwrap();
    }
    if edit["remove"] == true {
        return fs::remove_file(&path).unwrap();
    }
    let mut bytes = fs::read(&path).unwrap();
    if let Some(length) = edit["truncate"].as_i64() {
        bytes.truncate(position(length, &bytes));
    } else if let Some(count) = edit["append"].as_u64() {
        bytes.resize(bytes.len() + count as usize, 0);
    } else if let Some(change) = edit["bytes"].as_array() {
        let new: Vec<u8> = change[1].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
        let at = position(change[0].as_i64().unwrap(), &bytes);
        bytes[at..at + new.len()].copy_from_slice(&new);
    } else if edit["json"].is_object() {
        let mut document: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut document, &edit["json"]);
        bytes = document.to_string().into_bytes();
    } else if edit["header"].is_object() {
        bytes = with_header(&bytes, |header| change(header, &edit["header"]));
    } else if let Some([from, to]) = edit["rename"].as_array().map(Vec::as_slice) {
        bytes = with_header(&bytes, |header| {
            let tensor = header.as_object_mut().unwrap().remove(from.as_str().unwrap()).unwrap();
            header[to.as_str().unwrap()] = tensor;
        });
    } else {
        panic!("unknown edit {edit}");
    }
    fs::write(&path, bytes).unwrap();
}

/// A position in a file; negative ones count from the end.
fn position(at: i64, bytes: &[u8]) -> usize {
    if at < 0 { bytes.len() - at.unsigned_abs() as usize } else { at as usize }
}

/// Sets or deletes the value at a path.
fn change(document: &mut Value, change: &Value) {
    let path: Vec<&str> = change["path"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    let (last, before) = path.split_last().unwrap();
    let parent = before.iter().fold(document, |value, key| &mut value[*key]);
    if change["delete"] == true {
        parent.as_object_mut().unwrap().remove(*last).unwrap();
    } else {
        parent[*last] = change["value"].clone();
    }
}

/// A safetensors file with an edited header and a matching header length.
fn with_header(bytes: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    edit(&mut header);
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

fn generate(directory: &Path, has_adapter: bool) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["generate", "--no-tune", "--prompt", "a", "--tokens", "1", "--frozen", "f32", "--model"]).arg(directory);
    if has_adapter {
        command.arg("--lora").arg(directory.join("adapter"));
    }
    command
}

/// The program's error message, which must be one line.
fn refusal(directory: &Path, has_adapter: bool) -> String {
    let output = generate(directory, has_adapter).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{sentence}");
    let lines: Vec<&str> = sentence.trim_end().lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].len() < 500, "{sentence}");
    sentence
}
