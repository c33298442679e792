//! Writes the files of a model: each atomically, and those of a directory together.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::TOKENIZER_FILES;
use crate::error::{Error, Result};

/// The extension of a file that is being written.
const PARTIAL: &str = "partial";
/// Without this file no library opens a directory as a model, or as adapters.
const ENTRY_POINTS: [&str; 2] = ["config.json", "adapter_config.json"];
/// Files of a model or its adapters, besides weights and the files of its tokenizer.
const MODEL_FILES: [&str; 5] =
    ["config.json", "generation_config.json", "adapter_config.json", "preprocessor_config.json", "processor_config.json"];
/// How names of weights and of their indices begin.
const WEIGHT_STEMS: [&str; 3] = ["model", "adapter_model", "pytorch_model"];
/// How they end.
const WEIGHT_ENDINGS: [&str; 4] = [".safetensors", ".bin", ".safetensors.index.json", ".bin.index.json"];

/// Writes the files of a model, of its tokenizer or of its adapters to a directory so that no library ever opens a mixture with what was
/// there before. All are written beside their places first; [`DirectoryWriter::commit`] then moves them there, and removes files of an
/// earlier model that are not among them.
pub struct DirectoryWriter {
    directory: PathBuf,
    /// Names, and where the files wait.
    written: Vec<(String, PathBuf)>,
}

impl DirectoryWriter {
    /// Makes the directory if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn new(directory: &Path) -> Result<DirectoryWriter> {
        fs::create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
        Ok(DirectoryWriter { directory: directory.to_owned(), written: Vec::new() })
    }

    /// Writes a file. One of the same name that was written before is replaced.
    ///
    /// # Errors
    /// [`Error::Io`] with the file that could not be written.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.add_with(name, |temporary| File::create(temporary)?.write_all(bytes))
    }

    /// Writes files, by name.
    ///
    /// # Errors
    /// As [`DirectoryWriter::add`].
    pub fn add_all<B: AsRef<[u8]>>(&mut self, files: impl IntoIterator<Item = (&'static str, B)>) -> Result<()> {
        files.into_iter().try_for_each(|(name, bytes)| self.add(name, bytes.as_ref()))
    }

    /// Lets `write` write a file.
    ///
    /// # Errors
    /// As [`DirectoryWriter::add`].
    pub(super) fn add_with(&mut self, name: &str, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
        let path = self.directory.join(name);
        let written_before = self.written.iter().find(|(other, _)| other == name);
        let temporary = written_before.map_or_else(|| temporary(&path), |(_, temporary)| temporary.clone());
        // Noted first: what cannot be written whole is removed when this is dropped.
        self.written.retain(|(other, _)| other != name);
        self.written.push((name.to_owned(), temporary.clone()));
        let written = write(&temporary).and_then(|()| File::open(&temporary)?.sync_all());
        written.map_err(|e| Error::io(path, e))
    }

    /// Moves the files to their places, and removes those of an earlier model.
    ///
    /// # Errors
    /// [`Error::Io`] with the file that could not be moved or removed.
    pub fn commit(mut self) -> Result<()> {
        // Until the end the directory is not a model: an interruption leaves nothing that could be taken for one.
        for name in ENTRY_POINTS {
            remove(&self.directory.join(name))?;
        }
        for path in model_files(&self.directory) {
            let is_replaced = self.written.iter().any(|(name, _)| path.ends_with(name));
            if !is_replaced {
                remove(&path)?;
            }
        }
        self.written.sort_by_key(|(name, _)| ENTRY_POINTS.contains(&name.as_str()));
        for (name, temporary) in &self.written {
            let path = self.directory.join(name);
            fs::rename(temporary, &path).map_err(|e| Error::io(&path, e))?;
        }
        sync_directory(&self.directory).map_err(|e| Error::io(&self.directory, e))
    }
}

impl Drop for DirectoryWriter {
    fn drop(&mut self) {
        for (_, temporary) in &self.written {
            // After a commit there are none. Otherwise the error that led here is more useful than one of this.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// The files of a model, its tokenizer or its adapters in a directory.
pub fn model_files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_model_file)).collect()
}

/// Is that the name of a file of a model, its tokenizer or its adapters?
pub fn is_model_file(name: &str) -> bool {
    let is_weights = || {
        let stem = WEIGHT_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        // Shards have numbers behind their stem, as in model-00001-of-00002.
        stem.is_some_and(|stem| WEIGHT_STEMS.contains(&stem.split('-').next().unwrap_or(stem)))
    };
    MODEL_FILES.contains(&name) || TOKENIZER_FILES.contains(&name) || is_weights()
}

/// Removes what interrupted writes left in a directory that no other process writes to.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn remove_partial_files(directory: &Path) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|e| Error::io(directory, e))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.try_for_each(|path| if path.extension().is_some_and(|extension| extension == PARTIAL) { remove(&path) } else { Ok(()) })
}

/// Writes a file atomically: to a temporary file that is synced and then renamed.
///
/// # Errors
/// [`Error::Io`] with the path.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |temporary| File::create(temporary)?.write_all(bytes))
}

/// Lets `write` write a file, atomically.
///
/// # Errors
/// [`Error::Io`] with the path.
pub(crate) fn write_atomically_with(path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let temporary = temporary(path);
    let write = || {
        write(&temporary)?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), sync_directory)
    };
    write().map_err(|error| {
        // Remove the remains. If that fails too, the first error is more useful.
        let _ = fs::remove_file(&temporary);
        Error::io(path, error)
    })
}

/// A name beside a file that nobody else takes, in this process or another.
fn temporary(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    path.with_file_name(format!("{name}.{}-{number}.{PARTIAL}", std::process::id()))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// A rename is durable only once the directory is synced. Not every system can open a directory for that.
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    // An empty path is the working directory.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory).map_or(Ok(()), |directory| directory.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_models_are_known_by_name() {
        let known = ["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"];
        let more = ["adapter_model.bin", "pytorch_model-00002-of-00003.bin", "pytorch_model.bin.index.json", "chat_template.jinja"];
        assert!(known.into_iter().chain(more).all(is_model_file));
        let others = ["checkpoint.safetensors", "README.md", "talks.jsonl", "model.txt", "my-model.safetensors", "models.bin"];
        assert!(!others.into_iter().any(is_model_file));
    }
}
