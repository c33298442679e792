//! Any bytes as a checkpoint: what is accepted is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::train::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(snapshot) = Snapshot::from_bytes("checkpoint.safetensors", bytes) {
        let again = Snapshot::from_bytes("checkpoint.safetensors", &snapshot.to_bytes()).expect("what was written can be read");
        // As they are shown, since a number that is none equals nothing.
        assert_eq!(format!("{again:?}"), format!("{snapshot:?}"));
    }
});
