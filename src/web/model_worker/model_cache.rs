//! What is kept of models that were fetched: a directory of the browser's storage for each, with a manifest of what is there.

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{FileSystemDirectoryHandle, FileSystemSyncAccessHandle};

use super::blob_files::BlobFiles;
use crate::error::{Error, Result};
use crate::model::fingerprint::hash;
use crate::web::js_error::reason;
use crate::web::model_protocol::CachedModel;
use crate::web::storage;

/// The directory of all models.
const MODELS: &str = "models";
/// The manifest's file.
const MANIFEST: &str = "manifest";

/// What is kept of a model.
pub struct ModelCache {
    directory: FileSystemDirectoryHandle,
    manifest: Manifest,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
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

impl ModelCache {
    /// What is kept of the model at that address, which may be nothing.
    ///
    /// # Errors
    /// [`Error::Data`] if the browser gives no storage.
    pub async fn of(address: &str) -> Result<Self> {
        let models = models().await.map_err(|error| refused(&error))?;
        let directory = storage::directory(&models, &directory_name(address)).await.map_err(|error| refused(&error))?;
        let manifest = read_manifest(&directory).await.filter(|manifest| manifest.address == address);
        let manifest = manifest.unwrap_or_else(|| Manifest { address: address.to_owned(), files: Vec::new(), is_whole: false });
        Ok(ModelCache { directory, manifest })
    }

    /// All that is kept. A browser that gives no storage keeps nothing.
    pub async fn all() -> Vec<CachedModel> {
        let Ok(models) = models().await else { return Vec::new() };
        let Ok(entries) = storage::entries(&models).await else { return Vec::new() };
        let mut all = Vec::new();
        for directory in entries {
            let manifest = read_manifest(&directory.unchecked_into()).await;
            all.extend(manifest.map(|manifest| CachedModel {
                bytes: manifest.files.iter().map(|part| part.done).sum(),
                address: manifest.address,
                is_whole: manifest.is_whole,
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
        self.manifest.is_whole
    }

    /// Bytes that are there.
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|part| part.done).sum()
    }

    /// What is noted of every file.
    pub fn parts(&self) -> &[Part] {
        &self.manifest.files
    }

    /// What is noted of a file.
    pub fn part(&self, name: &str) -> Part {
        let known = self.manifest.files.iter().find(|part| part.name == name);
        known.cloned().unwrap_or_else(|| Part { name: name.to_owned(), ..Part::default() })
    }

    /// Notes what is there of a file.
    pub async fn record(&mut self, part: Part) -> Result<()> {
        match self.manifest.files.iter_mut().find(|known| known.name == part.name) {
            Some(known) => *known = part,
            None => self.manifest.files.push(part),
        }
        self.write_note().await
    }

    /// Notes that all of the model is there.
    pub async fn mark_whole(&mut self) -> Result<()> {
        self.manifest.is_whole = true;
        self.write_note().await
    }

    /// Notes that nothing is there: the files are written over.
    pub async fn clear(&mut self) -> Result<()> {
        self.manifest.files.clear();
        self.write_note().await
    }

    async fn write_note(&self) -> Result<()> {
        let manifest = postcard::to_allocvec(&self.manifest).expect("a manifest is plain data");
        storage::write(&self.directory, MANIFEST, &[&manifest]).await.map_err(|error| refused(&error))
    }

    /// Opens a file to be written.
    pub async fn open(&self, name: &str) -> Result<FileSystemSyncAccessHandle> {
        storage::open(&self.directory, name, true).await.map_err(|error| refused(&error))
    }

    /// The files that are there.
    pub async fn files(&self) -> Result<BlobFiles> {
        let mut files = Vec::new();
        for part in self.manifest.files.iter().filter(|part| part.is_whole) {
            let file = storage::file(&self.directory, &part.name).await.map_err(|error| refused(&error))?;
            files.push((part.name.clone(), file));
        }
        Ok(BlobFiles(files))
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

async fn read_manifest(directory: &FileSystemDirectoryHandle) -> Option<Manifest> {
    let manifest = storage::file(directory, MANIFEST).await.ok()?;
    let bytes = JsFuture::from(manifest.array_buffer()).await.ok()?;
    postcard::from_bytes(&js_sys::Uint8Array::new(&bytes).to_vec()).ok()
}

/// A name that any file system takes.
fn directory_name(address: &str) -> String {
    format!("{:016x}", hash(address.bytes().map(u64::from)))
}
