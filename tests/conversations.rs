//! Conversations: from JSON lines to a model that answers.

use std::fs;
use std::path::{Path, PathBuf};

use streambp::error::Result;
use streambp::model::{Config, ModelSpec, ModelType, PRESETS, Weights};
use streambp::step::Strategy;
use streambp::text::{ChatTemplate, Rows, Tokenizer, TokenizerFiles, train_vocabulary};
use streambp::train::{Dataset, Settings};

use crate::command_line::{complaint, directory, json, small_model, text};
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

    let config: serde_json::Value = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["vocab_size"], 300);
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
fn run_lines(arguments: &[&str]) -> Vec<serde_json::Value> {
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
        (train(tiny, Path::new("own"), &["--tokenizer", "bytes"]), "made of bytes"),
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
