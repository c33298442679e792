//! A model on disk: a directory with `config.json` and `model.safetensors`, as Hugging Face lays it out.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::{Config, Preset, Weights, archive};
use crate::error::{Error, Result};

/// The sizes of a model: a preset's name, a directory, or a `config.json`.
///
/// # Errors
/// [`Error::Setting`] if there is no such model, [`Error::Config`] if its `config.json` is not supported.
pub fn load_config(model: &str) -> Result<Config> {
    if let Some(preset) = Preset::named(model) {
        return Ok(preset.config.clone());
    }
    let path = Path::new(model);
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    if !file.is_file() {
        let presets: Vec<&str> = super::PRESETS.iter().map(|p| p.name).collect();
        return Err(Error::Setting(format!(
            "there is no model {model}: give a directory with a config.json, or one of {}",
            presets.join(", ")
        )));
    }
    Config::from_json(&fs::read_to_string(&file).map_err(|e| Error::io(&file, e))?)
}

/// A model with its values: those of the directory, or for a preset fresh ones from the seed.
///
/// # Errors
/// As [`load_config`], and [`Error::Weights`] if `model.safetensors` does not belong to it.
pub fn load_model(model: &str, seed: u64) -> Result<(Config, Weights)> {
    let config = load_config(model)?;
    if Preset::named(model).is_some() {
        let weights = Weights::init(&config, seed);
        return Ok((config, weights));
    }
    let file = Path::new(model).join("model.safetensors");
    let bytes = fs::read(&file).map_err(|e| Error::io(&file, e))?;
    let weights = Weights::from_safetensors(&config, &file.display().to_string(), &bytes)?;
    Ok((config, weights))
}

/// Writes `config.json`, `model.safetensors` and, for the byte vocabulary, its tokenizer into a directory, each in one piece.
///
/// # Errors
/// [`Error::Io`] with the file's name.
pub fn save_model(directory: &Path, config: &Config, weights: &Weights) -> Result<()> {
    fs::create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
    for (name, bytes) in archive::files(config, weights) {
        write_atomically(&directory.join(name), &bytes)?;
    }
    Ok(())
}

/// Writes a file beside the old one, makes sure that it is on the disk, and only then puts it in the old one's place.
///
/// # Errors
/// [`Error::Io`] with the file's name.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is only safe once the directory is; not every system lets a directory be opened for that.
        if let Some(Ok(directory)) = path.parent().map(File::open) {
            directory.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| Error::io(path, e))
}
