//! A model as one zip in the layout of a Hugging Face directory, for where there is no directory: a browser's downloads and uploads.

use std::io::{Cursor, Read, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::tokenizer::{byte_tokenizer_config_json, byte_tokenizer_json};
use super::{Config, Weights};
use crate::error::{Error, Result};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// More than any model that can be trained here: an entry that claims more is an attack or a mistake.
const MAX_ENTRY_BYTES: u64 = 4 << 30;

/// The files of a model by name: `config.json` is the last, since it makes the others a model.
pub(super) fn files(config: &Config, weights: &Weights) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![(WEIGHTS, weights.to_safetensors(config))];
    // A token is a byte in this vocabulary alone; of others the tokenizer is not known.
    if config.vocab_size == 256 {
        files.push(("tokenizer.json", byte_tokenizer_json().into_bytes()));
        files.push(("tokenizer_config.json", byte_tokenizer_config_json().into_bytes()));
    }
    files.push((CONFIG, config.to_json().into_bytes()));
    files
}

/// A model as one zip. Nothing is compressed: weights hardly get smaller.
pub fn to_zip(config: &Config, weights: &Weights) -> Vec<u8> {
    let files = files(config, weights);
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(bytes + 1024)));
    for (name, bytes) in &files {
        let is_large = bytes.len() as u64 >= u64::from(u32::MAX);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(is_large);
        zip.start_file(*name, options).and_then(|()| Ok(zip.write_all(bytes)?)).expect("a zip in memory can be written");
    }
    zip.finish().expect("a zip in memory can be written").into_inner()
}

/// Reads a model from its zip, or from the named files of its directory; a leading folder in the names is fine in both.
///
/// # Errors
/// [`Error::Data`] if a file is missing, [`Error::Weights`] if a zip or `model.safetensors` is broken or of another model,
/// [`Error::Config`] if `config.json` is not supported.
pub fn from_files(files: Vec<(String, Vec<u8>)>) -> Result<(Config, Weights)> {
    let (config, (weights_name, weights)) = match files.as_slice() {
        [(name, bytes)] if is_zip(name, bytes) => unpack(name, bytes)?,
        _ => pick(files)?,
    };
    let config = std::str::from_utf8(&config).map_err(|_| Error::config("the file", "is not UTF-8 text"))?;
    let config = Config::from_json(config)?;
    let weights = Weights::from_safetensors(&config, &weights_name, &weights)?;
    Ok((config, weights))
}

/// The bytes of `config.json`, and the name and bytes of `model.safetensors`.
type Pair = (Vec<u8>, (String, Vec<u8>));

fn is_zip(name: &str, bytes: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(".zip") || has_magic(bytes)
}

/// Does it start as a zip does, with an entry or, if it is empty, with the end?
fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

fn pick(mut files: Vec<(String, Vec<u8>)>) -> Result<Pair> {
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let (config, weights) = find(&names)?;
    Ok((std::mem::take(&mut files[config].1), files.swap_remove(weights)))
}

fn unpack(file: &str, bytes: &[u8]) -> Result<Pair> {
    if !has_magic(bytes) {
        return Err(Error::weights(file, "is no zip; choose the zip of a model, or the files of its directory"));
    }
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(file, &e))?;
    let names: Vec<String> = zip.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (config, weights) = find(&names)?;
    let config_bytes = entry(&mut zip, config, file)?;
    Ok((config_bytes, (names[weights].to_owned(), entry(&mut zip, weights, file)?)))
}

/// Where `config.json` and the `model.safetensors` beside it are. Of several models the outermost is meant: the others are its
/// checkpoints.
fn find(names: &[&str]) -> Result<(usize, usize)> {
    let split = |name: &str| name.rfind(['/', '\\']).map_or((0, 0), |at| (at + 1, name.matches(['/', '\\']).count()));
    let folder_of = |name: &str, base: &str| {
        let (start, depth) = split(name);
        (&name[start..] == base).then_some((depth, start))
    };
    let configs = names.iter().enumerate().filter_map(|(at, name)| folder_of(name, CONFIG).map(|(depth, start)| (depth, at, start)));
    let Some((_, config, start)) = configs.min() else {
        return Err(Error::Data(format!("there is no {CONFIG}; choose the zip of a model, or its {CONFIG} and {WEIGHTS} together")));
    };
    let folder = &names[config][..start];
    let Some(weights) = names.iter().position(|name| name.strip_prefix(folder) == Some(WEIGHTS)) else {
        return Err(Error::Data(format!(
            "there is no {WEIGHTS} beside {}; choose both together, of a model that is saved in this one file",
            names[config]
        )));
    };
    Ok((config, weights))
}

/// An entry's bytes, and never more of them than it claims.
fn entry(zip: &mut ZipArchive<Cursor<&[u8]>>, index: usize, file: &str) -> Result<Vec<u8>> {
    let about = zip.by_index_data(index).map_err(|e| damaged(file, &e))?;
    let name = String::from_utf8_lossy(about.name_raw()).into_owned();
    let claimed = about.size();
    let problem = |text: String| Error::weights(file, format!("the entry {name} {text}"));
    if about.encrypted() {
        return Err(problem("is encrypted; pack the model again without a password".to_owned()));
    }
    if claimed > MAX_ENTRY_BYTES {
        return Err(problem(format!("claims {claimed} bytes, and {MAX_ENTRY_BYTES} are the most; choose the zip of a smaller model")));
    }
    let reader = zip.by_index(index).map_err(|e| match e {
        ZipError::CompressionMethodNotSupported(_) | ZipError::UnsupportedArchive(_) => {
            problem(format!("cannot be unpacked ({e}); pack the model again, by deflate or without compression"))
        }
        e => damaged(file, &e),
    })?;
    // Memory is asked for as bytes arrive, so that a claim alone costs none.
    let mut bytes = Vec::new();
    let read = reader.take(claimed + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > claimed {
        return Err(problem(format!("holds more than the {claimed} bytes that it claims; pack the model again")));
    }
    read.map_err(|e| match e.kind() {
        std::io::ErrorKind::OutOfMemory => problem(format!("takes {claimed} bytes, for which there is no memory; close other programs")),
        _ => damaged(file, &e.into()),
    })?;
    if (bytes.len() as u64) < claimed {
        return Err(problem(format!("holds {} bytes and claims {claimed}; pack the model again", bytes.len())));
    }
    Ok(bytes)
}

fn damaged(file: &str, error: &ZipError) -> Error {
    Error::weights(file, format!("is a zip that was cut short or damaged ({error}); download or copy it again"))
}
