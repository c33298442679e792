//! What the targets share: a small model, its files, and reading all of it.

use streambp::model::{
    Config, Dtype, InMemoryFiles, Lora, ModelSpec, Parameters, Projection, StoredModel, TensorNames, Weights, adapter_files,
};

/// A model of one layer.
pub fn config() -> Config {
    Config { vocab_size: 4, ..Config::llama([4, 4, 1, 1, 1, 4]) }
}

/// Its weights in one file.
pub fn weights() -> Vec<u8> {
    let parameters = Parameters::new(&config());
    Weights::init(&config(), 1).to_safetensors(parameters.iter().map(|(_, parameter)| parameter), &TensorNames::default())
}

/// The weights and the settings of adapters on it.
pub fn adapter() -> [Vec<u8>; 2] {
    let lora = Lora { rank: 1, alpha: 1.0, use_rslora: false, targets: vec![Projection::Query], layers: None };
    let spec = ModelSpec::lora(&config(), lora, Dtype::F32).expect("the adapters are valid");
    adapter_files(&spec, "model", &TensorNames::default(), &Weights::init(&spec, 1)).map(|(_, bytes)| bytes)
}

/// Files of these names.
pub fn files<const COUNT: usize>(files: [(&str, Vec<u8>); COUNT]) -> InMemoryFiles {
    InMemoryFiles(files.map(|(name, bytes)| (name.to_owned(), bytes)).into())
}

/// Opens a model, and reads all of it if it is small.
pub fn read_model(files: InMemoryFiles) {
    pollster::block_on(async {
        let Ok(model) = StoredModel::open(files).await else { return };
        let parameters = Parameters::new(model.config());
        let _ = Weights::read(&model, parameters.iter().map(|(_, parameter)| parameter)).await;
    });
}
