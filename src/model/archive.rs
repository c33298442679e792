//! A model or adapters as a zip in the layout of a Hugging Face directory, and a run as one in the layout of its directory, for downloads
//! and uploads in a browser.

use std::io::{Cursor, Read, Seek, Write};
use std::ops::Range;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::config_file::CONFIG;
use super::stored::WEIGHTS;
use super::tokenizer::{byte_tokenizer_config_json, byte_tokenizer_json};
use super::{Config, GENERATION_CONFIG, ModelSpec, Parameters, SpecialTokenIds, TensorNames, Weights, adapter_config, adapter_files};
use crate::error::{Error, Result};

/// The largest compressed entry in bytes that is unpacked into memory. An entry that claims more is an attack or a mistake.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;
/// The state of a run, in the directory of the run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Where the text of a run lies in its directory.
pub const TEXT_FOLDER: &str = "data/";
/// The suffixes of a model's files, and of files that help to explain what is wrong with it.
const ENDINGS: [&str; 4] = [".json", ".safetensors", ".jinja", ".bin"];

/// The kind of a set of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// A model.
    Model,
    /// LoRA adapters of a model.
    Adapters,
    /// The directory of a run.
    Run,
}

/// A file in a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An uncompressed entry: this range of the zip's bytes.
    Within(Range<u64>),
    /// The unpacked bytes of a compressed entry.
    Unpacked(Vec<u8>),
}

/// The files of a model, by name. `config.json` is the last, so that an incomplete directory is not taken for a model.
pub(super) fn files(config: &Config, weights: &Weights, names: &TensorNames, ids: &SpecialTokenIds) -> Vec<(&'static str, Vec<u8>)> {
    // A vocabulary of 256 is the byte vocabulary. The tokenizers of others are unknown here.
    let tokenizer = match config.vocab_size {
        256 => vec![
            ("tokenizer.json", byte_tokenizer_json().into_bytes()),
            ("tokenizer_config.json", byte_tokenizer_config_json().into_bytes()),
        ],
        _ => Vec::new(),
    };
    files_with(config, weights, names, tokenizer, ids)
}

fn files_with(
    config: &Config,
    weights: &Weights,
    names: &TensorNames,
    tokenizer: Vec<(&'static str, Vec<u8>)>,
    ids: &SpecialTokenIds,
) -> Vec<(&'static str, Vec<u8>)> {
    let parameters = Parameters::new(config);
    let mut files = vec![(WEIGHTS, weights.to_safetensors(parameters.iter().map(|(_, parameter)| parameter), names))];
    files.extend(tokenizer);
    files.extend(ids.generation_config(None).map(|json| (GENERATION_CONFIG, json)));
    files.push((CONFIG, ids.written_to(&config.to_json()).into_bytes()));
    files
}

/// The files of a tokenizer by name, and the ids of its special tokens.
pub type TokenizerParts = (Vec<(&'static str, Vec<u8>)>, SpecialTokenIds);

/// Exports a model, or its adapters in the layout of PEFT, as a zip. `base` is the name of the adapters' base model, `names` are those of the
/// tensors, and `tokenizer` are the tokenizer's files with the ids of its special tokens, which are added to a model. Nothing is compressed,
/// because weights hardly shrink.
///
/// # Panics
/// If `weights` lacks a parameter.
pub fn to_zip(spec: &ModelSpec, base: &str, names: &TensorNames, weights: &Weights, tokenizer: Option<TokenizerParts>) -> Vec<u8> {
    let files = match (spec.adapters(), tokenizer) {
        (Some(_), _) => adapter_files(spec, base, names, weights).into(),
        (None, Some((tokenizer, ids))) => files_with(&spec.config, weights, names, tokenizer, &ids),
        (None, None) => files(&spec.config, weights, names, &SpecialTokenIds::default()),
    };
    zip(&files)
}

/// Packs files by name. Nothing is compressed.
pub fn zip(files: &[(impl AsRef<str>, impl AsRef<[u8]>)]) -> Vec<u8> {
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.as_ref().len()).sum();
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(bytes + 1024)));
    for (name, bytes) in files {
        let bytes = bytes.as_ref();
        let is_large = bytes.len() as u64 >= u64::from(u32::MAX);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(is_large);
        zip.start_file(name.as_ref(), options).and_then(|()| Ok(zip.write_all(bytes)?)).expect("a zip in memory can be written");
    }
    zip.finish().expect("a zip in memory can be written").into_inner()
}

/// Is it a zip, by its name or its first bytes?
pub fn is_zip(name: &str, bytes: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(".zip") || has_magic(bytes)
}

/// Does it start with the signature of a zip entry or, for an empty zip, of the end record?
fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Selects the files of a model, of adapters or of a run from a folder, and returns them by their names within it.
///
/// # Errors
/// [`Error::Weights`] if `config.json` (or `adapter_config.json`, or `checkpoint.safetensors`) is missing.
pub fn pick<T>(files: Vec<(String, T)>, kind: Kind) -> Result<Vec<(String, T)>> {
    let folder = folder(files.iter().map(|(name, _)| name.as_str()), kind)?;
    let of_model = |(name, file): (String, T)| Some((name_in_folder(&folder, &name, kind)?.to_owned(), file));
    Ok(files.into_iter().filter_map(of_model).collect())
}

/// The files of a model, of adapters or of a run in a zip. Reads every byte of them once, in small pieces, to verify the checksums.
///
/// # Errors
/// [`Error::Weights`] if the zip is damaged, encrypted or unsupported, or does not contain a model (or adapters, or a run).
pub fn unpack(file: &str, mut zip: impl Read + Seek, kind: Kind) -> Result<Vec<(String, Entry)>> {
    let mut start = [0; 4];
    let is_readable = zip.read_exact(&mut start).and_then(|()| zip.rewind()).is_ok();
    if !is_readable || !has_magic(&start) {
        return Err(Error::weights(file, "is no zip; choose a zip, or a whole folder"));
    }
    let mut zip = ZipArchive::new(zip).map_err(|e| damaged(file, &e))?;
    let names = zip.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned()).zip(0..).collect();
    pick(names, kind)?.into_iter().map(|(name, index)| Ok((name, entry(&mut zip, index, file)?))).collect()
}

/// The folder of a model: that of its `config.json`; of a run: that of its checkpoint. With several it takes the outermost; the others are its checkpoints.
fn folder<'a>(names: impl Iterator<Item = &'a str> + Clone, kind: Kind) -> Result<String> {
    let folder_with = |marker: &str| {
        let folder_of = |name: &'a str| {
            let start = name.rfind(['/', '\\']).map_or(0, |at| at + 1);
            (&name[start..] == marker).then_some((name.matches(['/', '\\']).count(), &name[..start]))
        };
        names.clone().filter_map(folder_of).min_by_key(|(depth, _)| *depth)
    };
    let (marker, other, confusion) = match kind {
        Kind::Run => (CHECKPOINT, CONFIG, "this is no run: choose a directory that streambp train --out wrote, or its zip"),
        Kind::Model => (CONFIG, adapter_config::CONFIG, "these are adapters: open their base model first, and then them"),
        Kind::Adapters => (adapter_config::CONFIG, CONFIG, "this is a model: choose the folder of its adapters"),
    };
    match (folder_with(marker), folder_with(other)) {
        (Some((_, folder)), _) => Ok(folder.to_owned()),
        (None, Some(_)) => Err(Error::weights(marker, format!("is not there; {confusion}"))),
        (None, None) => Err(Error::weights(marker, "is not there; choose a whole folder with it, or its zip")),
    }
}

/// The name of a file within the folder, if it may belong to the model or to the run.
fn name_in_folder<'a>(folder: &str, name: &'a str, kind: Kind) -> Option<&'a str> {
    let name = name.strip_prefix(folder)?;
    if kind == Kind::Run {
        let in_text_folder = name.strip_prefix(TEXT_FOLDER).unwrap_or(name);
        return (!in_text_folder.contains(['/', '\\'])).then_some(name);
    }
    (!name.contains(['/', '\\']) && ENDINGS.iter().any(|ending| name.ends_with(ending))).then_some(name)
}

/// Reads an entry, never more bytes than it claims.
fn entry<R: Read + Seek>(zip: &mut ZipArchive<R>, index: usize, file: &str) -> Result<Entry> {
    let about = zip.by_index_data(index).map_err(|e| damaged(file, &e))?;
    let name = String::from_utf8_lossy(about.name_raw()).into_owned();
    let (claimed, method) = (about.size(), about.compression());
    let problem = |text: String| Error::weights(file, format!("the entry {name} {text}"));
    if about.encrypted() {
        return Err(problem("is encrypted; pack the model again without a password".to_owned()));
    }
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(problem("is compressed in a way that cannot be read here; unpack the zip, and choose its folder".to_owned()));
    }
    if method == CompressionMethod::Deflated && claimed > MAX_UNPACKED_BYTES {
        return Err(problem(format!(
            "claims {claimed} bytes, and {MAX_UNPACKED_BYTES} are the most; unpack the zip, and choose its folder"
        )));
    }
    let mut reader = zip.by_index(index).map_err(|e| damaged(file, &e))?;
    let mut bytes = Vec::new();
    let read = match method {
        CompressionMethod::Stored => std::io::copy(&mut reader, &mut std::io::sink()),
        // Memory grows as bytes arrive, so a large claim alone costs none. The reader fails on a byte beyond the claim.
        _ => reader.read_to_end(&mut bytes).map(|read| read as u64),
    };
    let read = read.map_err(|e| match e.kind() {
        std::io::ErrorKind::OutOfMemory => problem(format!("takes {claimed} bytes, for which there is no memory; close other programs")),
        _ => damaged(file, &e.into()),
    })?;
    if read != claimed {
        return Err(problem(format!("holds {read} bytes and claims {claimed}; pack the model again")));
    }
    let start = reader.data_start().expect("an entry that was read has a place");
    Ok(if method == CompressionMethod::Stored { Entry::Within(start..start + read) } else { Entry::Unpacked(bytes) })
}

fn damaged(file: &str, error: &ZipError) -> Error {
    Error::weights(file, format!("is a zip that was cut short or damaged ({error}); download or copy it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InMemoryFiles, PRESETS, StoredModel};

    fn config() -> Config {
        Config { num_hidden_layers: 1, hidden_size: 6, intermediate_size: 5, vocab_size: 7, ..PRESETS[0].config.clone() }
    }

    fn model() -> (Config, Weights) {
        (config(), Weights::init(&config(), 7))
    }

    fn files_of_model() -> Vec<(String, Vec<u8>)> {
        let (config, weights) = model();
        let files = files(&config, &weights, &TensorNames::default(), &SpecialTokenIds::default());
        files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    fn in_folder(folder: &str, files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        files.into_iter().map(|(name, bytes)| (format!("{folder}{name}"), bytes)).collect()
    }

    fn zipped(config: &Config, weights: &Weights) -> Vec<u8> {
        to_zip(&config.into(), "", &TensorNames::default(), weights, None)
    }

    /// Packs files as other programs do: deflated, as a stream, with the sizes after the data.
    fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut zip = ZipWriter::new_stream(Vec::new());
        for (name, bytes) in files {
            zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn unzip(name: &str, zip: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let bytes = |entry| match entry {
            Entry::Within(range) => zip[range.start as usize..range.end as usize].to_vec(),
            Entry::Unpacked(bytes) => bytes,
        };
        Ok(unpack(name, Cursor::new(zip), Kind::Model)?.into_iter().map(|(name, entry)| (name, bytes(entry))).collect())
    }

    fn from_files(files: Vec<(String, Vec<u8>)>) -> Result<(Config, Weights)> {
        pollster::block_on(async {
            let files = match files.as_slice() {
                [(name, bytes)] if is_zip(name, bytes) => unzip(name, bytes)?,
                _ => pick(files, Kind::Model)?,
            };
            let model = StoredModel::open(InMemoryFiles(files)).await?;
            let parameters = Parameters::new(model.config());
            let weights = Weights::read(&model, parameters.iter().map(|(_, parameter)| parameter)).await?;
            Ok((model.config().clone(), weights))
        })
    }

    fn open(zip: Vec<u8>) -> Result<(Config, Weights)> {
        from_files(vec![("upload.zip".to_owned(), zip)])
    }

    fn assert_refused(result: Result<(Config, Weights)>, words: &[&str]) {
        let error = result.unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    }

    /// Overwrites bytes of the entry's record in the central directory.
    fn patch(zip: &mut [u8], name: &str, field: usize, bytes: &[u8]) {
        const NAME: usize = 46;
        let record = (0..zip.len())
            .find(|&at| zip[at..].starts_with(b"PK\x01\x02") && zip[at + NAME..].starts_with(name.as_bytes()))
            .expect("the entry is in the directory");
        zip[record + field..][..bytes.len()].copy_from_slice(bytes);
    }
    const FLAGS: usize = 8;
    const METHOD: usize = 10;
    const SIZE: usize = 24;

    #[test]
    fn a_model_zipped_is_the_model_read() {
        let (config, weights) = model();
        assert_eq!(open(zipped(&config, &weights)).unwrap(), model());
        assert_eq!(from_files(vec![("no suffix".to_owned(), zipped(&config, &weights))]).unwrap(), model());
        let bytes = Config { vocab_size: 256, ..config };
        let weights = Weights::init(&bytes, 7);
        assert_eq!(open(zipped(&bytes, &weights)).unwrap(), (bytes, weights));
    }

    #[test]
    fn the_tokenizer_goes_with_the_byte_vocabulary_alone() {
        let names = |config: &Config| {
            let files = files(config, &Weights::init(config, 7), &TensorNames::default(), &SpecialTokenIds::default());
            files.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&config()), [WEIGHTS, CONFIG]);
        let bytes = Config { vocab_size: 256, ..config() };
        assert_eq!(names(&bytes), [WEIGHTS, "tokenizer.json", "tokenizer_config.json", CONFIG]);
    }

    #[test]
    fn a_zip_packed_by_others_opens() {
        for folder in ["", "model/", "a/b/", "model\\"] {
            assert_eq!(open(packed(&in_folder(folder, files_of_model()))).unwrap(), model(), "{folder}");
        }
    }

    #[test]
    fn the_files_of_a_folder_open_and_the_outermost_model_is_meant() {
        for folder in ["", "model/", "a/b/"] {
            let mut files = in_folder(folder, files_of_model());
            files.insert(0, (format!("{folder}checkpoint/config.json"), Vec::new()));
            files.insert(1, (format!("{folder}checkpoint/model.safetensors"), Vec::new()));
            files.push((format!("{folder}README.md"), Vec::new()));
            assert_eq!(from_files(files).unwrap(), model(), "{folder}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let [weights, config] = <[_; 2]>::try_from(files_of_model()).unwrap();
        assert_refused(from_files(Vec::new()), &["config.json: is not there"]);
        assert_refused(from_files(vec![weights.clone()]), &["config.json: is not there"]);
        assert_refused(from_files(vec![config.clone()]), &["model.safetensors: is not there"]);
        assert_refused(
            from_files(vec![("a/config.json".to_owned(), config.1.clone()), weights.clone()]),
            &["model.safetensors: is not there"],
        );
        assert_refused(open(packed(&[])), &["config.json: is not there"]);
        assert_refused(open(packed(&[weights])), &["config.json: is not there"]);
        assert_refused(open(packed(&[config])), &["model.safetensors: is not there"]);
    }

    #[test]
    fn models_and_adapters_are_told_apart() {
        let said = |name: &str, kind| pick(vec![(format!("folder/{name}"), ())], kind).unwrap_err().to_string();
        assert!(said(adapter_config::CONFIG, Kind::Model).contains("these are adapters: open their base model first"));
        assert!(said(CONFIG, Kind::Adapters).contains("this is a model: choose the folder of its adapters"));
        let both = || vec![(CONFIG.to_owned(), ()), (adapter_config::CONFIG.to_owned(), ())];
        assert!([Kind::Model, Kind::Adapters].into_iter().all(|kind| pick(both(), kind).is_ok()));
    }

    #[test]
    fn weights_of_another_shape_are_named() {
        let mut files = files_of_model();
        files[1].1 = Config { hidden_size: 8, ..config() }.to_json().into_bytes();
        assert_refused(open(packed(&files)), &["model.safetensors", "model.embed_tokens.weight"]);
        assert_refused(from_files(files), &["model.safetensors", "model.embed_tokens.weight"]);
    }

    #[test]
    fn what_is_no_zip_or_cut_short_is_refused() {
        assert_refused(open(b"text".to_vec()), &["upload.zip", "no zip"]);
        assert_refused(open(Vec::new()), &["upload.zip", "no zip"]);
        let zip = zipped(&config(), &Weights::init(&config(), 7));
        for length in 4..zip.len() {
            assert_refused(open(zip[..length].to_vec()), &["upload.zip", "cut short"]);
        }
        let mut damaged = zip;
        damaged[100] ^= 1;
        assert_refused(open(damaged), &["upload.zip", "damaged"]);
    }

    #[test]
    fn no_flipped_bit_panics_or_changes_the_model() {
        let zip = packed(&files_of_model());
        for at in 0..zip.len() * 8 {
            let mut flipped = zip.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = open(flipped) {
                assert_eq!(read, model(), "bit {at}");
            }
        }
    }

    #[test]
    fn an_entry_that_lies_about_its_size_is_refused() {
        let sizes: [(u32, &str); 4] = [
            (3 << 30, "claims 3221225472 bytes"),
            (10, "larger than its declared"),
            (0, "larger than its declared"),
            (1 << 20, "claims 1048576"),
        ];
        for (size, words) in sizes {
            let mut zip = packed(&files_of_model());
            patch(&mut zip, WEIGHTS, SIZE, &size.to_le_bytes());
            assert_refused(open(zip), &["upload.zip", words]);
        }
    }

    #[test]
    fn an_encrypted_entry_and_an_unknown_compression_are_refused() {
        let mut zip = packed(&files_of_model());
        patch(&mut zip, CONFIG, FLAGS, &[1]);
        assert_refused(open(zip), &["upload.zip", CONFIG, "password"]);
        let mut zip = packed(&files_of_model());
        patch(&mut zip, CONFIG, METHOD, &9u16.to_le_bytes());
        assert_refused(open(zip), &["upload.zip", CONFIG, "unpack the zip"]);
    }
}
