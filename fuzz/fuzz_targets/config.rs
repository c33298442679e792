//! Any text as a `config.json`: what is read can be written, and is read as the same again; its table of parameters can be made.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::model::{Config, Parameters};

fuzz_target!(|text: &str| {
    let Ok(config) = Config::from_json(text) else { return };
    assert_eq!(Config::from_json(&config.to_json()).expect("what was written can be read"), config);
    if config.num_hidden_layers <= 8 {
        assert!(Parameters::new(&config).elements() > 0);
    }
});
