//! Conversations: from JSON lines to a model that answers.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use streambp::error::Result;
use streambp::model::{Config, ModelSpec, ModelType, PRESETS, Weights, save_model};
use streambp::step::Strategy;
use streambp::text::{ChatTemplate, Rows, Tokenizer, TokenizerFiles, train_vocabulary};
use streambp::train::{Dataset, Settings};

use crate::command_line::{complaint, directory, json, small_model, text, uniform_model};
use crate::support::{device, model};

/// Questions of different lengths, whose answers follow from them.
fn talks() -> String {
    let talk = |i: usize| {
        let word = ["sun", "rain", "snow", "wind"][i % 4];
        let question = format!("{}will there be {word} on day {i}?", "please tell me: ".repeat(i % 3));
        let answer = if i % 4 < 2 { "yes, much of it" } else { "no, none" };
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{question}\"}}, {{\"role\": \"assistant\", \"content\": \"{answer}\"}}]}}\n"
        )
    };
    (0..60).map(talk).collect()
}

fn file(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn answers_are_learned_and_questions_are_not() -> Result<()> {
    let rows = Rows::read("talks.jsonl", &talks())?;
    let tokenizer = train_vocabulary(rows.texts(), 300, ModelType::Qwen3)?;
    let documents = rows.documents(&tokenizer, &ChatTemplate::of(&tokenizer, ModelType::Qwen3)?, 0)?;
    let settings = Settings { seq_len: 64, batch: 4, accumulate: 2, steps: 100, strategy: Strategy::stream(64, 64), ..Settings::default() };
    let sizes = Config {
        hidden_size: 64,
        intermediate_size: 128,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        ..PRESETS[0].config.clone()
    };
    let config = Config { vocab_size: tokenizer.vocab_size(), ..sizes };
    pollster::block_on(async {
        let dataset = Dataset::documents(&documents, settings.seq_len)?;
        let weights = Weights::init(&config, 0);
        let mut trainer = model::trainer(&device::gpu(), &ModelSpec::from(&config), settings.clone(), dataset, &weights).await?;
        let before = trainer.validate().await?.loss;
        for _ in 0..settings.steps {
            trainer.step().await?;
        }
        let after = trainer.validate().await?.loss;
        // The loss of a random guess is log 300.
        assert!(before > 5.0 && after < 0.2, "{before} and {after}");
        // The attention map shows a conversation, not the filler of the batch.
        let pattern = trainer.attention(1, 0).await?;
        assert!(pattern.input_ids.iter().any(|&id| id != 0) && pattern.weights.len() == pattern.queries.len());
        assert!(pattern.weights.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
        Ok(())
    })
}

#[test]
fn a_vocabulary_goes_with_its_model_and_the_model_answers() {
    let here = directory("conversations");
    let data = file(&here, "talks.jsonl", &talks());
    let out = here.join("out");
    let train =
        ["train", "--model", "tiny", "--data", text(&data), "--seq-len", "64", "--batch", "4", "--steps", "40", "--train-tokenizer", "300"];
    let last = run_lines(&[&train[..], &["--out", text(&out), "--json"]].concat()).pop().unwrap();
    assert!(last["validation_loss"].as_f64().unwrap() < 0.3, "{last}");

    let config: Value = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["vocab_size"], 300);
    // Where transformers looks for what starts and ends a text: <|begin_of_text|> and <|eot_id|>.
    assert_eq!((&config["bos_token_id"], &config["eos_token_id"], &config["pad_token_id"]), (&0.into(), &3.into(), &Value::Null));
    let generation: Value = serde_json::from_slice(&fs::read(out.join("generation_config.json")).unwrap()).unwrap();
    assert_eq!(generation, serde_json::json!({ "bos_token_id": 0, "eos_token_id": 3 }));
    let tokenizer = Tokenizer::from_files(TokenizerFiles::read(&out).unwrap().unwrap(), 300).unwrap();
    assert!(tokenizer.chat_template().unwrap().contains("<|eot_id|>"));

    let ask = ["generate", "--model", text(&out), "--prompt", "will there be snow on day 14?", "--chat", "--temperature", "0", "--json"];
    let answer = json(&ask);
    assert_eq!(answer["text"], "no, none");
    assert!(answer["tokens"].as_array().unwrap().len() < 20, "generation should stop at the end of the answer");
    let continued = json(&["generate", "--model", text(&out), "--prompt", "will there", "--tokens", "5", "--json"]);
    assert!(continued["text"].as_str().unwrap().starts_with("will there"));

    // The saved model can be trained further, with its vocabulary.
    let more = here.join("more");
    let arguments =
        ["train", "--model", text(&out), "--data", text(&data), "--seq-len", "64", "--steps", "1", "--out", text(&more), "--json"];
    assert!(run_lines(&arguments)[0]["loss"].as_f64().unwrap() < 1.0);
    assert_eq!(TokenizerFiles::read(&more).unwrap(), TokenizerFiles::read(&out).unwrap());
}

/// The JSON lines that a run prints.
fn run_lines(arguments: &[&str]) -> Vec<Value> {
    let output = crate::command_line::run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn what_is_wrong_with_data_and_vocabularies_is_said_in_a_sentence() {
    let here = directory("conversation_complaints");
    let model = small_model(&here);
    let data = file(&here, "talks.jsonl", &talks());
    let broken = file(&here, "broken.jsonl", &format!("{}{{\"messages\": 7}}\n", talks()));
    let short = file(&here, "short.jsonl", "{\"text\": \"one\"}\n");
    let plain = file(&here, "plain.txt", &talks());
    let vocabulary = train_vocabulary([talks().as_str()].into_iter(), 400, ModelType::Llama).unwrap();
    vocabulary.files().named().into_iter().for_each(|(name, bytes)| fs::write(here.join(name), bytes).unwrap());
    let tokenizer = here.join("tokenizer.json");
    let hostile = file(&here, "hostile.json", "{\"model\": {}}");
    let train = |model: &Path, data: &Path, more: &[&str]| {
        let arguments = ["train", "--model", text(model), "--data", text(data), "--seq-len", "64", "--steps", "1"];
        complaint(&[&arguments[..], more].concat())
    };
    let tiny = Path::new("tiny");
    for (message, expected) in [
        (train(tiny, &broken, &[]), "broken.jsonl, line 61: "),
        (train(tiny, &short, &[]), "1 documents, and 2"),
        (train(tiny, &plain, &["--train-tokenizer", "260"]), "261 or more"),
        (train(tiny, &plain, &["--train-tokenizer", "60000"]), "longer text, or a vocabulary of"),
        (train(&model, &data, &["--train-tokenizer", "300"]), "goes with a preset"),
        (train(&model, &data, &["--tokenizer", text(&tokenizer)]), "and the model knows 0 to 255"),
        (train(tiny, &data, &["--tokenizer", text(&hostile)]), "tokenizer.json is broken"),
        (train(tiny, &data, &["--tokenizer", "nowhere.json"]), "no tokenizer nowhere.json"),
        (train(tiny, Path::new("stories"), &["--tokenizer", "bytes"]), "made of bytes"),
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

/// A model with the markers of ChatML and no template is written with both ends and the template that was used; whatever else came with it
/// stays.
#[test]
fn a_directory_keeps_what_it_came_with_and_gets_what_it_lacks() {
    let here = directory("kept_files");
    let vocabulary = train_vocabulary([talks().as_str()].into_iter(), 300, ModelType::Qwen3).unwrap();
    let config =
        Config { vocab_size: 300, hidden_size: 32, intermediate_size: 40, num_hidden_layers: 1, head_dim: 8, ..PRESETS[0].config.clone() };
    let model = here.join("model");
    save_model(&model, &config, &Weights::init(&config, 1)).unwrap();
    fs::write(model.join("tokenizer.json"), &vocabulary.files().tokenizer).unwrap();
    fs::write(model.join("tokenizer_config.json"), r#"{"additional_special_tokens": ["<|new|>"], "model_max_length": 7}"#).unwrap();
    fs::write(model.join("generation_config.json"), r#"{"eos_token_id": [7], "temperature": 0.6}"#).unwrap();
    let data = file(&here, "talks.txt", &talks());
    let out = here.join("out");
    let train = ["train", "--model", text(&model), "--data", text(&data), "--seq-len", "32", "--steps", "1", "--out", text(&out)];
    let said = String::from_utf8(crate::command_line::run(&train).stderr).unwrap();
    assert!(said.contains("talks.txt: 60 conversations, 60 documents of "), "{said}");
    assert!(said.contains(" longer than --seq-len 32 are cut"), "{said}");
    let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(out.join(name)).unwrap()).unwrap();
    let end = vocabulary.token_id("<|im_end|>").unwrap();
    assert_eq!(read("generation_config.json"), serde_json::json!({ "eos_token_id": [7, end], "temperature": 0.6 }));
    assert_eq!(read("config.json")["eos_token_id"], serde_json::json!([7, end]));
    assert_eq!(read("tokenizer_config.json")["model_max_length"], 7);
    assert!(fs::read_to_string(out.join("chat_template.jinja")).unwrap().contains("<|im_start|>"));
    let saved = Tokenizer::from_files(TokenizerFiles::read(&out).unwrap().unwrap(), 301).unwrap();
    assert_eq!(saved.token_id("<|new|>"), Some(300), "a token that tokenizer.json lacked");
}

#[test]
fn a_tokenizer_in_another_form_is_refused_with_its_conversion() {
    let here = directory("other_tokenizers");
    let config =
        Config { vocab_size: 300, hidden_size: 32, intermediate_size: 40, num_hidden_layers: 1, head_dim: 8, ..PRESETS[0].config.clone() };
    let model = here.join("model");
    save_model(&model, &config, &Weights::init(&config, 1)).unwrap();
    let data = file(&here, "book.txt", &talks());
    let train = ["train", "--model", text(&model), "--data", text(&data), "--seq-len", "32", "--steps", "1"];
    assert!(complaint(&train).contains("has no tokenizer.json; put the one of the model there"));
    for names in [&["tokenizer.model"][..], &["vocab.json", "merges.txt"]] {
        names.iter().for_each(|name| fs::write(model.join(name), "x").unwrap());
        for command in [&train[..], &["generate", "--model", text(&model), "--prompt", "a"]] {
            let said = complaint(command);
            assert!(said.contains(&format!("has {} and no tokenizer.json", names.join(" and "))), "{said}");
            assert!(said.contains(&format!("AutoTokenizer.from_pretrained('{}')", text(&model))), "{said}");
        }
        names.iter().for_each(|name| fs::remove_file(model.join(name)).unwrap());
    }
    // Bytes on request. The files of the model's own tokenizer do not go with them.
    fs::write(model.join("tokenizer.model"), "x").unwrap();
    fs::write(model.join("notes.txt"), "x").unwrap();
    let out = here.join("out");
    run_lines(&[&train[..], &["--tokenizer", "bytes", "--out", text(&out), "--json"]].concat());
    assert!(!out.join("tokenizer.model").exists() && out.join("notes.txt").exists());
    assert!(Tokenizer::from_files(TokenizerFiles::read(&out).unwrap().unwrap(), 300).unwrap().is_bytes());
}

#[test]
fn generation_stops_at_every_end_that_a_file_names() {
    let here = directory("ends");
    // It takes token 0 first.
    let model = uniform_model(&here);
    let generated = || {
        let found = json(&["generate", "--model", text(&model), "--prompt", "a", "--tokens", "5", "--temperature", "0", "--json"]);
        found["tokens"].as_array().unwrap().len()
    };
    assert_eq!(generated(), 5);
    fs::write(model.join("generation_config.json"), r#"{"eos_token_id": [7, 0]}"#).unwrap();
    assert_eq!(generated(), 1);
    fs::write(model.join("generation_config.json"), r#"{"eos_token_id": 7}"#).unwrap();
    assert_eq!(generated(), 5);
    let json_with = |field: &str| {
        let path = model.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["eos_token_id"] = serde_json::from_str(field).unwrap();
        fs::write(path, config.to_string()).unwrap();
    };
    json_with("0");
    assert_eq!(generated(), 1);
}

#[test]
fn adapters_bring_their_own_tokenizer_and_template() {
    let here = directory("tokenizer_of_adapters");
    let model = small_model(&here);
    let (talk, adapters, book) = (file(&here, "talks.jsonl", &talks()), here.join("adapters"), file(&here, "long.txt", &talks()));
    let train = ["train", "--model", text(&model), "--data", text(&talk), "--seq-len", "64", "--steps", "1", "--lora-rank", "2"];
    run_lines(&[&train[..], &["--out", text(&adapters), "--json"]].concat());
    let merged = here.join("merged");
    json(&["merge", "--model", text(&model), "--lora", text(&adapters), "--out", text(&merged), "--json"]);
    assert_eq!(fs::read(merged.join("chat_template.jinja")).unwrap(), fs::read(adapters.join("chat_template.jinja")).unwrap());
    let labels = || {
        let on = ["--model", text(&model), "--lora", text(&adapters), "--data", text(&talk), "--seq-len", "300"];
        json(&[&["eval"][..], &on, &["--json"]].concat())["labels"].as_u64().unwrap()
    };
    let before = labels();
    // A template whose replies have one byte more.
    let template = fs::read_to_string(adapters.join("chat_template.jinja")).unwrap();
    fs::write(adapters.join("chat_template.jinja"), template.replace("<|eot_id|>", "<|eot_id|>!")).unwrap();
    assert_eq!(labels(), before + 60);
    fs::remove_file(adapters.join("tokenizer.json")).unwrap();
    assert_eq!(labels(), before + 60, "a template beside no tokenizer");
    fs::remove_file(adapters.join("chat_template.jinja")).unwrap();
    assert_eq!(labels(), before);

    // Of a bare config.json neither weights nor tokens are known.
    let config = model.join("config.json");
    let alone = ["train", "--model", text(&config), "--data", text(&book), "--seq-len", "64", "--steps", "1"];
    let said = String::from_utf8(crate::command_line::run(&alone).stderr).unwrap();
    assert!(said.contains("config.json alone names no tokenizer, so every byte is a token"), "{said}");
}
