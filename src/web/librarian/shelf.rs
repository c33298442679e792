//! What is kept of models that were fetched: a directory of the browser's storage for each, with a note of what is there.

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{FileSystemDirectoryHandle, FileSystemSyncAccessHandle};

use super::folder::Folder;
use crate::error::{Error, Result};
use crate::model::fingerprint::hash;
use crate::web::js_error::reason;
use crate::web::library::Kept;
use crate::web::storage;

/// The directory of all models.
const MODELS: &str = "models";
/// The note's file.
const NOTE: &str = "note";

/// What is kept of a model.
pub struct Shelf {
    directory: FileSystemDirectoryHandle,
    note: Note,
}

#[derive(Serialize, Deserialize)]
struct Note {
    address: String,
    files: Vec<Part>,
    is_whole: bool,
}

/// What is kept of a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its bytes, if the host has told.
    pub size: Option<u64>,
    /// The host's mark of its version, if it has told.
    pub etag: Option<String>,
    /// Bytes that are safely there.
    pub done: u64,
    /// Is that all of it?
    pub is_whole: bool,
}

impl Shelf {
    /// What is kept of the model at that address, which may be nothing.
    ///
    /// # Errors
    /// [`Error::Data`] if the browser gives no storage.
    pub async fn of(address: &str) -> Result<Self> {
        let models = models().await.map_err(|error| refused(&error))?;
        let directory = storage::directory(&models, &directory_name(address)).await.map_err(|error| refused(&error))?;
        let note = read_note(&directory).await.filter(|note| note.address == address);
        let note = note.unwrap_or_else(|| Note { address: address.to_owned(), files: Vec::new(), is_whole: false });
        Ok(Shelf { directory, note })
    }

    /// All that is kept. A browser that gives no storage keeps nothing.
    pub async fn all() -> Vec<Kept> {
        let Ok(models) = models().await else { return Vec::new() };
        let Ok(entries) = storage::entries(&models).await else { return Vec::new() };
        let mut all = Vec::new();
        for directory in entries {
            let note = read_note(&directory.unchecked_into()).await;
            all.extend(note.map(|note| Kept {
                bytes: note.files.iter().map(|part| part.done).sum(),
                address: note.address,
                is_whole: note.is_whole,
            }));
        }
        all.sort_by(|a, b| a.address.cmp(&b.address));
        all
    }

    /// Forgets what is kept of the model at that address.
    ///
    /// # Errors
    /// [`Error::Data`] if the browser does not let it go.
    pub async fn forget(address: &str) -> Result<()> {
        let models = models().await.map_err(|error| refused(&error))?;
        storage::remove(&models, &directory_name(address)).await.map_err(|error| {
            let reason = reason(&error);
            Error::Data(format!("{address} cannot be forgotten now ({reason}); close other tabs of this page, and try again"))
        })
    }

    /// Is all of the model there?
    pub fn is_whole(&self) -> bool {
        self.note.is_whole
    }

    /// Bytes that are there.
    pub fn bytes(&self) -> u64 {
        self.note.files.iter().map(|part| part.done).sum()
    }

    /// What is noted of every file.
    pub fn parts(&self) -> &[Part] {
        &self.note.files
    }

    /// What is noted of a file.
    pub fn part(&self, name: &str) -> Part {
        let known = self.note.files.iter().find(|part| part.name == name);
        known.cloned().unwrap_or_else(|| Part { name: name.to_owned(), ..Part::default() })
    }

    /// Notes what is there of a file.
    pub async fn note(&mut self, part: Part) -> Result<()> {
        match self.note.files.iter_mut().find(|known| known.name == part.name) {
            Some(known) => *known = part,
            None => self.note.files.push(part),
        }
        self.write_note().await
    }

    /// Notes that all of the model is there.
    pub async fn note_whole(&mut self) -> Result<()> {
        self.note.is_whole = true;
        self.write_note().await
    }

    /// Notes that nothing is there: the files are written over.
    pub async fn clear(&mut self) -> Result<()> {
        self.note.files.clear();
        self.write_note().await
    }

    async fn write_note(&self) -> Result<()> {
        let note = postcard::to_allocvec(&self.note).expect("a note is plain data");
        storage::write(&self.directory, NOTE, &[&note]).await.map_err(|error| refused(&error))
    }

    /// Opens a file to be written.
    pub async fn open(&self, name: &str) -> Result<FileSystemSyncAccessHandle> {
        storage::open(&self.directory, name, true).await.map_err(|error| refused(&error))
    }

    /// The files that are there.
    pub async fn folder(&self) -> Result<Folder> {
        let mut files = Vec::new();
        for part in self.note.files.iter().filter(|part| part.is_whole) {
            let file = storage::file(&self.directory, &part.name).await.map_err(|error| refused(&error))?;
            files.push((part.name.clone(), file));
        }
        Ok(Folder(files))
    }
}

/// What to do where the browser's storage takes or gives nothing.
pub fn refused(error: &JsValue) -> Error {
    let reason = reason(error);
    Error::Data(format!(
        "the browser's storage refuses ({reason}): forget a model that is kept, free some space, or choose the files of the model from a folder; what was fetched is kept"
    ))
}

async fn models() -> Result<FileSystemDirectoryHandle, JsValue> {
    storage::directory(&storage::root().await?, MODELS).await
}

async fn read_note(directory: &FileSystemDirectoryHandle) -> Option<Note> {
    let note = storage::file(directory, NOTE).await.ok()?;
    let bytes = JsFuture::from(note.array_buffer()).await.ok()?;
    postcard::from_bytes(&js_sys::Uint8Array::new(&bytes).to_vec()).ok()
}

/// A name that any file system takes.
fn directory_name(address: &str) -> String {
    format!("{:016x}", hash(address.bytes().map(u64::from)))
}
