//! Any bytes as the zip of a model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::model::archive;
use streambp_fuzz::read_model;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(files) = archive::model_files(vec![("model.zip".to_owned(), bytes.to_vec())]) {
        read_model(files);
    }
});
