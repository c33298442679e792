//! Models on disk: directories in the layout of Hugging Face.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::config_file::{CONFIG, ConfigFile};
use super::{
    Config, DirectoryWriter, Files, GENERATION_CONFIG, ModelSpec, Parameter, Preset, RandomInit, SpecialTokenIds, StoredAdapter,
    StoredModel, TOKENIZER_FILES, TensorNames, WeightSource, Weights, adapter_files, archive, location,
};
use crate::error::{Error, Result};

/// The files of a directory.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

impl Files for Directory {
    async fn size(&self, name: &str) -> Result<Option<u64>> {
        let path = self.0.join(name);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    async fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let path = self.0.join(name);
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| Error::io(&path, e))
    }

    fn shown(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// A model that was opened by name: a preset, a `config.json`, or a directory.
pub struct Model {
    /// Its configuration.
    pub config: Config,
    origin: Origin,
}

enum Origin {
    RandomInit(RandomInit),
    Stored(Box<StoredModel<Directory>>),
}

impl WeightSource for Model {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        match &self.origin {
            Origin::RandomInit(fresh) => fresh.rows(parameter, rows).await,
            Origin::Stored(stored) => stored.rows(parameter, rows).await,
        }
    }
}

impl Model {
    /// Its files, if it has any.
    pub fn stored(&self) -> Option<&StoredModel<Directory>> {
        match &self.origin {
            Origin::RandomInit(_) => None,
            Origin::Stored(stored) => Some(stored),
        }
    }

    /// The names of new adapters.
    pub fn adapter_names(&self) -> TensorNames {
        self.stored().map(StoredModel::adapter_names).unwrap_or_default()
    }

    /// Writes the model with other weights, with its companion files and the ids of its special tokens. The files of its own tokenizer
    /// are left out if another one, whose files the caller writes, takes their place.
    ///
    /// # Errors
    /// [`Error::Io`] with the file that could not be read or written.
    pub fn write(&self, files: &mut DirectoryWriter, weights: &Weights, ids: &SpecialTokenIds, keeps_tokenizer: bool) -> Result<()> {
        let names = self.stored().map(StoredModel::names).unwrap_or_default();
        files.add_all(archive::files(&self.config, weights, &names, ids))?;
        match self.stored() {
            Some(stored) => add_companions(stored, files, "float32", ids, keeps_tokenizer),
            None => Ok(()),
        }
    }
}

/// Opens a model: a preset, a bare `config.json` or its text with random weights from `seed`, or a directory with its weights.
///
/// # Errors
/// As [`load_config`], and [`Error::Weights`] if the weights do not match the configuration.
pub async fn open_model(model: &str, seed: u64) -> Result<Model> {
    let path = Path::new(model);
    if Preset::named(model).is_none() && path.is_dir() {
        location::config_of(model)?;
        let stored = StoredModel::open(Directory(path.to_owned())).await?;
        return Ok(Model { config: stored.config().clone(), origin: Origin::Stored(Box::new(stored)) });
    }
    Ok(Model { config: load_config(model)?, origin: Origin::RandomInit(RandomInit { seed }) })
}

/// Opens adapters in a directory in the layout of PEFT.
///
/// # Errors
/// [`Error::Setting`] if there are none, and as [`StoredAdapter::open`].
pub async fn open_adapter(directory: &Path, config: &Config) -> Result<StoredAdapter<Directory>> {
    location::check_adapters(directory)?;
    StoredAdapter::open(Directory(directory.to_owned()), config).await
}

/// Is a model given as the text of its `config.json`?
pub fn is_config(model: &str) -> bool {
    model.trim_start().starts_with('{')
}

/// The configuration of a model: a preset's name, a directory, a `config.json`, or its text.
///
/// # Errors
/// [`Error::Setting`] if there is no such model, [`Error::Config`] if its `config.json` is not supported, [`Error::Io`] if it cannot be
/// read.
pub fn load_config(model: &str) -> Result<Config> {
    if let Some(preset) = Preset::named(model) {
        return Ok(preset.config.clone());
    }
    if is_config(model) {
        return Config::from_json(model);
    }
    let file = location::config_of(model)?;
    let bytes = fs::read(&file).map_err(|e| Error::io(&file, e))?;
    Config::from_json(&ConfigFile::parse(bytes)?.json)
}

/// Saves `model.safetensors`, `config.json` and, for the byte vocabulary, the tokenizer to a directory.
///
/// # Errors
/// [`Error::Io`] with the file that could not be written.
pub fn save_model(directory: &Path, config: &Config, weights: &Weights) -> Result<()> {
    save_files(directory, archive::files(config, weights, &TensorNames::default(), &SpecialTokenIds::default()))
}

/// Saves adapters to a directory in the layout of PEFT.
///
/// # Errors
/// [`Error::Io`] with the file that could not be written.
pub fn save_adapter(directory: &Path, spec: &ModelSpec, base: &str, weights: &Weights) -> Result<()> {
    save_files(directory, adapter_files(spec, base, &TensorNames::default(), weights))
}

fn save_files(directory: &Path, files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Result<()> {
    let mut writer = DirectoryWriter::new(directory)?;
    writer.add_all(files)?;
    writer.commit()
}

/// Adds the companion files of a model (all but its weights), with its `config.json` in another dtype, and with the ids of special tokens
/// where it has none. The files of its own tokenizer are left out unless it `keeps_tokenizer`.
pub(super) fn add_companions(
    model: &StoredModel<Directory>,
    files: &mut DirectoryWriter,
    dtype: &str,
    ids: &SpecialTokenIds,
    keeps_tokenizer: bool,
) -> Result<()> {
    let from = &model.files().0;
    let is_companion = |name: &str| {
        let is_known = [".json", ".jinja", ".model", ".txt"].iter().any(|ending| name.ends_with(ending));
        let is_kept = keeps_tokenizer || !TOKENIZER_FILES.contains(&name);
        is_known && name != CONFIG && !name.ends_with(".index.json") && !name.starts_with("adapter_") && is_kept
    };
    for entry in fs::read_dir(from).map_err(|e| Error::io(from, e))? {
        let path = entry.map_err(|e| Error::io(from, e))?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_companion(name) && path.is_file()) {
            files.add(name, &fs::read(&path).map_err(|e| Error::io(&path, e))?)?;
        }
    }
    files.add(CONFIG, ids.added_to(&config_with_dtype(model, dtype)).as_bytes())?;
    let path = from.join(GENERATION_CONFIG);
    let existing = if path.is_file() { Some(fs::read(&path).map_err(|e| Error::io(&path, e))?) } else { None };
    ids.generation_config(existing.as_deref()).map_or(Ok(()), |json| files.add(GENERATION_CONFIG, &json))
}

/// The `config.json` of a model whose weights are written in another dtype.
fn config_with_dtype(model: &StoredModel<Directory>, dtype: &str) -> String {
    let mut config: serde_json::Value = serde_json::from_str(model.config_json()).expect("it was read before");
    let field = if config.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
    config[field] = dtype.into();
    // The weights may have said otherwise than the file.
    config["tie_word_embeddings"] = model.config().tie_word_embeddings.into();
    serde_json::to_string_pretty(&config).expect("a JSON value can be written")
}
