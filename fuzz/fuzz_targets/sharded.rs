//! Any text as the index of a small model's shards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp_fuzz::{config, files, read_model, weights};

fuzz_target!(|index: &[u8]| {
    let shard = weights();
    read_model(files([
        ("config.json", config().to_json().into_bytes()),
        ("model.safetensors.index.json", index.to_vec()),
        ("model-00001-of-00002.safetensors", shard.clone()),
        ("model-00002-of-00002.safetensors", shard),
    ]));
});
