//! Any bytes as the zip of a model.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use streambp::model::InMemoryFiles;
use streambp::model::archive::{Entry, Kind, unpack};
use streambp_fuzz::read_model;

fuzz_target!(|zip: &[u8]| {
    let Ok(files) = unpack("model.zip", Cursor::new(zip), Kind::Model) else { return };
    let bytes = |entry| match entry {
        Entry::Within(range) => zip[range.start as usize..range.end as usize].to_vec(),
        Entry::Unpacked(bytes) => bytes,
    };
    read_model(InMemoryFiles(files.into_iter().map(|(name, entry)| (name, bytes(entry))).collect()));
});
