//! Any bytes as the `model.safetensors` of a small model: what is accepted can be read whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp_fuzz::{config, files, read_model};

fuzz_target!(|bytes: &[u8]| {
    read_model(files([("config.json", config().to_json().into_bytes()), ("model.safetensors", bytes.to_vec())]));
});
