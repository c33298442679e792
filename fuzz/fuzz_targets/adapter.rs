//! Any bytes as the settings and the weights of adapters on a small model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::model::{Dtype, ModelSpec, Parameters, StoredAdapter, Weights};
use streambp_fuzz::{adapter, config, files};

fuzz_target!(|input: (bool, &[u8])| {
    let (is_settings, bytes) = input;
    let [weights, settings] = adapter();
    let [weights, settings] = if is_settings { [weights, bytes.to_vec()] } else { [bytes.to_vec(), settings] };
    let files = files([("adapter_config.json", settings), ("adapter_model.safetensors", weights)]);
    pollster::block_on(async {
        let Ok(stored) = StoredAdapter::open(files, &config()).await else { return };
        let spec = ModelSpec::lora(&config(), stored.lora().clone(), Dtype::F32).expect("it was accepted");
        let parameters = Parameters::new(&spec);
        let _ = Weights::read(&stored, parameters.trainable().map(|(_, parameter)| parameter)).await;
    });
});
