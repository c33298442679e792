//! Writes for each target a good input to start from: a fuzzer finds the rest from there.

use std::fs;
use std::path::Path;

use streambp::model::{PRESETS, PUBLISHED, Parameters, TensorNames, Weights, archive, tokenizer};
use streambp::step::Strategy;
use streambp::train::{RunId, Settings, Snapshot};
use streambp_fuzz::{adapter, config, weights};

const TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{% generation %}{{ message.content | trim }}\
{% endgeneration %}{% else %}{{ message['content'].strip() }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '>' }}{% endif %}";

const SPECIAL_TOKENS: &str = r#"{"bos_token":"<s>","eos_token":{"content":"</s>","lstrip":true},"extra_special_tokens":["<x>"],
"added_tokens_decoder":{"256":{"content":"<s>","special":true,"normalized":false}},"chat_template":"{{ messages }}"}"#;

const CONVERSATIONS: &str = r#"{"messages":[{"role":"user","content":"2 + 2"},{"role":"assistant","content":[{"type":"text","text":"4"}]}]}
{"text":"a\u00fc"}
"#;

fn main() {
    let parameters = Parameters::new(&config());
    let names: Vec<String> =
        parameters.iter().map(|(_, parameter)| format!("\"{}\":\"model-00001-of-00002.safetensors\"", parameter.name)).collect();
    let [adapter_weights, mut adapter_settings] = adapter();
    let mut marked = adapter_weights;
    // The first byte tells the settings from the weights.
    marked.insert(0, 0);
    adapter_settings.insert(0, 1);
    let own = Weights::init(&config(), 1);
    let settings = Settings { strategy: Strategy::STANDARD, ..Settings::default() };
    let run = RunId { spec: (&config()).into(), settings, data: 1, frozen: None };
    let snapshot = Snapshot { run, step: 1, weights: own.clone(), moments: [own.clone(), own.clone()] };
    let seeds = [
        ("tokenizer", tokenizer::byte_tokenizer_json().into_bytes()),
        ("special_tokens", [b"\x00", SPECIAL_TOKENS.as_bytes()].concat()),
        ("special_tokens", b"\x01{\"eos_token\": \"</s>\"}".to_vec()),
        ("special_tokens", b"\x02{\"<s>\": 256}".to_vec()),
        ("special_tokens", b"\x03{\"bos_token_id\": 1, \"eos_token_id\": [2, 3]}".to_vec()),
        ("template", TEMPLATE.into()),
        ("conversations", CONVERSATIONS.into()),
        ("weights", weights()),
        ("sharded", format!("{{\"metadata\":{{}},\"weight_map\":{{{}}}}}", names.join(",")).into_bytes()),
        ("adapter", marked),
        ("adapter", adapter_settings),
        ("archive", archive::to_zip(&(&config()).into(), "model", &TensorNames::default(), &own, None)),
        ("batch", batch()),
        ("snapshot", snapshot.to_bytes()),
    ];
    let configs = PRESETS.iter().chain(PUBLISHED).map(|preset| ("config", preset.config.to_json().into_bytes()));
    for (number, (target, bytes)) in seeds.into_iter().chain(configs).enumerate() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&directory).expect("the corpus can be made");
        fs::write(directory.join(format!("seed-{number}")), bytes).expect("a seed can be written");
    }
}

/// Two sequences of two tokens.
fn batch() -> Vec<u8> {
    let header = r#"{"input_ids":{"dtype":"I64","shape":[2,2],"data_offsets":[0,32]},"labels":{"dtype":"I64","shape":[2,2],"data_offsets":[32,64]}}"#;
    let ids = [1i64, 2, 3, 4, 1, -100, 3, 4].into_iter().flat_map(i64::to_le_bytes).collect::<Vec<u8>>();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &ids].concat()
}
