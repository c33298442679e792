//! Any bytes as a batch: what is accepted has tokens that the model knows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::train::read_batch;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batch) = read_batch("batch.safetensors", bytes, 50) {
        assert!(batch.input_ids.iter().all(|&id| id < 50));
        assert_eq!(batch.labels.len(), batch.shape.tokens() as usize);
    }
});
