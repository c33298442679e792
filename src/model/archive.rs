//! A model as one zip in the layout of a Hugging Face directory, for where there is no directory: a browser's downloads and uploads.

use std::io::{Cursor, Read, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::stored::{CONFIG, WEIGHTS};
use super::tokenizer::{byte_tokenizer_config_json, byte_tokenizer_json};
use super::{Config, Held, Parameters, Weights};
use crate::error::{Error, Result};

/// What the memory of a page can hold in one piece: an entry that claims more is an attack or a mistake.
const MAX_ENTRY_BYTES: u64 = 2 << 30;
/// Endings of the files that a model may be made of.
const ENDINGS: [&str; 3] = [".json", ".safetensors", ".jinja"];

/// The files of a model by name: `config.json` is the last, since it makes the others a model.
pub(super) fn files(config: &Config, weights: &Weights) -> Vec<(&'static str, Vec<u8>)> {
    let parameters = Parameters::new(config);
    let mut files = vec![(WEIGHTS, weights.to_safetensors(parameters.iter().map(|(_, parameter)| parameter)))];
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

/// The files of a model, from its zip or from the named files of its directory; a leading folder in the names is fine in both.
///
/// # Errors
/// [`Error::Data`] if there is no `config.json`, [`Error::Weights`] if a zip is broken.
pub fn model_files(files: Vec<(String, Vec<u8>)>) -> Result<Held> {
    match files.as_slice() {
        [(name, bytes)] if is_zip(name, bytes) => unpack(name, bytes),
        _ => pick(files),
    }
}

fn is_zip(name: &str, bytes: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(".zip") || has_magic(bytes)
}

/// Does it start as a zip does, with an entry or, if it is empty, with the end?
fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

fn pick(files: Vec<(String, Vec<u8>)>) -> Result<Held> {
    let folder = folder(files.iter().map(|(name, _)| name.as_str()))?;
    let of_model = |(name, bytes): (String, Vec<u8>)| Some((name_in_model(&folder, &name)?.to_owned(), bytes));
    Ok(Held(files.into_iter().filter_map(of_model).collect()))
}

fn unpack(file: &str, bytes: &[u8]) -> Result<Held> {
    if !has_magic(bytes) {
        return Err(Error::weights(file, "is no zip; choose the zip of a model, or the files of its directory"));
    }
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(file, &e))?;
    let names: Vec<String> = zip.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let folder = folder(names.iter().map(String::as_str))?;
    let mut files = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if let Some(name) = name_in_model(&folder, name) {
            files.push((name.to_owned(), entry(&mut zip, index, file)?));
        }
    }
    Ok(Held(files))
}

/// The folder of a model: that of its `config.json`. Of several models the outermost is meant: the others are its checkpoints.
///
/// # Errors
/// [`Error::Data`] if there is none.
pub fn folder<'a>(names: impl Iterator<Item = &'a str>) -> Result<String> {
    let folder_of = |name: &'a str| {
        let start = name.rfind(['/', '\\']).map_or(0, |at| at + 1);
        (&name[start..] == CONFIG).then_some((name.matches(['/', '\\']).count(), &name[..start]))
    };
    let outermost = names.filter_map(folder_of).min_by_key(|(depth, _)| *depth);
    let Some((_, folder)) = outermost else {
        return Err(Error::Data(format!("there is no {CONFIG}; choose the zip of a model, or its {CONFIG} and {WEIGHTS} together")));
    };
    Ok(folder.to_owned())
}

/// The name of a file in the model of that folder, if it may be one of the model's.
pub fn name_in_model<'a>(folder: &str, name: &'a str) -> Option<&'a str> {
    let name = name.strip_prefix(folder)?;
    (!name.contains(['/', '\\']) && ENDINGS.iter().any(|ending| name.ends_with(ending))).then_some(name)
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
    if !is_readable(about.compression()) {
        return Err(problem(
            "is compressed in a way that cannot be read here; unpack the zip, and choose the files of its directory".to_owned(),
        ));
    }
    // Memory is taken as bytes arrive, so that a claim alone costs none; a byte beyond the claim is an error of the reader.
    let mut bytes = Vec::new();
    let mut reader = zip.by_index(index).map_err(|e| damaged(file, &e))?;
    reader.read_to_end(&mut bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::OutOfMemory => problem(format!("takes {claimed} bytes, for which there is no memory; close other programs")),
        _ => damaged(file, &e.into()),
    })?;
    if bytes.len() as u64 != claimed {
        return Err(problem(format!("holds {} bytes and claims {claimed}; pack the model again", bytes.len())));
    }
    Ok(bytes)
}

/// A page loads no decompressor: what it wrote itself is not compressed, and a directory's files can be chosen too.
fn is_readable(method: CompressionMethod) -> bool {
    #[cfg(not(target_arch = "wasm32"))]
    if method == CompressionMethod::Deflated {
        return true;
    }
    method == CompressionMethod::Stored
}

fn damaged(file: &str, error: &ZipError) -> Error {
    Error::weights(file, format!("is a zip that was cut short or damaged ({error}); download or copy it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PRESETS, StoredModel};

    fn config() -> Config {
        Config { num_hidden_layers: 1, hidden_size: 6, intermediate_size: 5, vocab_size: 7, ..PRESETS[0].config.clone() }
    }

    fn model() -> (Config, Weights) {
        (config(), Weights::init(&config(), 7))
    }

    fn files_of_model() -> Vec<(String, Vec<u8>)> {
        let (config, weights) = model();
        files(&config, &weights).into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    fn in_folder(folder: &str, files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        files.into_iter().map(|(name, bytes)| (format!("{folder}{name}"), bytes)).collect()
    }

    /// Packs files as other programs do: deflated, and in a stream that cannot go back to note sizes before the data.
    fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut zip = ZipWriter::new_stream(Vec::new());
        for (name, bytes) in files {
            zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn from_files(files: Vec<(String, Vec<u8>)>) -> Result<(Config, Weights)> {
        pollster::block_on(async {
            let model = StoredModel::open(model_files(files)?).await?;
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

    /// Overwrites bytes of the entry's record in the zip's directory.
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
        assert_eq!(open(to_zip(&config, &weights)).unwrap(), model());
        assert_eq!(from_files(vec![("no suffix".to_owned(), to_zip(&config, &weights))]).unwrap(), model());
        let bytes = Config { vocab_size: 256, ..config };
        let weights = Weights::init(&bytes, 7);
        assert_eq!(open(to_zip(&bytes, &weights)).unwrap(), (bytes, weights));
    }

    #[test]
    fn the_tokenizer_goes_with_the_byte_vocabulary_alone() {
        let names = |config: &Config| files(config, &Weights::init(config, 7)).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
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
        assert_refused(from_files(Vec::new()), &["no config.json"]);
        assert_refused(from_files(vec![weights.clone()]), &["no config.json"]);
        assert_refused(from_files(vec![config.clone()]), &["model.safetensors: is not there"]);
        assert_refused(
            from_files(vec![("a/config.json".to_owned(), config.1.clone()), weights.clone()]),
            &["model.safetensors: is not there"],
        );
        assert_refused(open(packed(&[])), &["no config.json"]);
        assert_refused(open(packed(&[weights])), &["no config.json"]);
        assert_refused(open(packed(&[config])), &["model.safetensors: is not there"]);
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
        let zip = to_zip(&config(), &Weights::init(&config(), 7));
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
