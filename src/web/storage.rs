//! The browser's origin-private storage, as workers use it.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions, FileSystemHandle,
    FileSystemRemoveOptions, FileSystemSyncAccessHandle, WorkerGlobalScope,
};

use super::blob;

/// The storage's own directory. Where the page is not served securely there is none.
pub async fn root() -> Result<FileSystemDirectoryHandle, JsValue> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let storage = Reflect::get(&scope.navigator(), &"storage".into())?;
    let storage: web_sys::StorageManager = storage.dyn_into()?;
    Ok(JsFuture::from(storage.get_directory()).await?.unchecked_into())
}

/// A directory in another, which is made if it is not there.
pub async fn directory(parent: &FileSystemDirectoryHandle, name: &str) -> Result<FileSystemDirectoryHandle, JsValue> {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    Ok(JsFuture::from(parent.get_directory_handle_with_options(name, &options)).await?.unchecked_into())
}

/// What is in a directory.
pub async fn entries(directory: &FileSystemDirectoryHandle) -> Result<Vec<FileSystemHandle>, JsValue> {
    let entries = directory.values();
    let mut all = Vec::new();
    loop {
        let next = JsFuture::from(entries.next()?).await?;
        if Reflect::get(&next, &"done".into())?.is_truthy() {
            return Ok(all);
        }
        all.push(Reflect::get(&next, &"value".into())?.unchecked_into());
    }
}

/// Removes a file, or a directory with all that is in it.
pub async fn remove(directory: &FileSystemDirectoryHandle, name: &str) -> Result<(), JsValue> {
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    JsFuture::from(directory.remove_entry_with_options(name, &options)).await.map(|_| ())
}

/// Opens a file for this worker alone.
pub async fn open(directory: &FileSystemDirectoryHandle, name: &str, create: bool) -> Result<FileSystemSyncAccessHandle, JsValue> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(create);
    let file = JsFuture::from(directory.get_file_handle_with_options(name, &options)).await?;
    let file: FileSystemFileHandle = file.unchecked_into();
    Ok(JsFuture::from(file.create_sync_access_handle()).await?.unchecked_into())
}

/// A file to be read by ranges, even while another tab has it open.
pub async fn file(directory: &FileSystemDirectoryHandle, name: &str) -> Result<Blob, JsValue> {
    let handle: FileSystemFileHandle = JsFuture::from(directory.get_file_handle(name)).await?.unchecked_into();
    Ok(JsFuture::from(handle.get_file()).await?.unchecked_into())
}

/// A whole file.
pub async fn read(directory: &FileSystemDirectoryHandle, name: &str) -> Result<Vec<u8>, JsValue> {
    let file = open(directory, name, false).await?;
    let mut bytes = vec![0; file.get_size().unwrap_or(0.0) as usize];
    let read = file.read_with_u8_array(&mut bytes);
    file.close();
    read.map(|_| bytes)
}

/// Writes a whole file, of parts that follow one another.
pub async fn write(directory: &FileSystemDirectoryHandle, name: &str, parts: &[&[u8]]) -> Result<(), JsValue> {
    let file = open(directory, name, true).await?;
    let write = || {
        file.truncate_with_u32(0)?;
        for part in parts {
            written(file.write_with_u8_array(part)?, part.len())?;
        }
        file.flush()
    };
    let outcome = write();
    file.close();
    outcome
}

/// Copies a file into a directory, piece by piece.
pub async fn copy(from: &Blob, directory: &FileSystemDirectoryHandle, name: &str) -> Result<(), JsValue> {
    let file = open(directory, name, true).await?;
    let write = async || {
        file.truncate_with_u32(0)?;
        for range in blob::pieces(from) {
            let piece: Uint8Array = blob::read(from, range).await?;
            written(file.write_with_js_u8_array(&piece)?, piece.length() as usize)?;
        }
        file.flush()
    };
    let outcome = write().await;
    file.close();
    outcome
}

/// Some browsers write as much as there is room for, and say nothing else of a full storage.
fn written(count: f64, of: usize) -> Result<(), JsValue> {
    if count as usize == of { Ok(()) } else { Err(web_sys::DomException::new_with_message_and_name("there is no room left", FULL)?.into()) }
}

/// The name of the exception that says that the storage is full.
pub const FULL: &str = "QuotaExceededError";
