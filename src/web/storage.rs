//! The browser's origin-private storage, as workers use it.

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetFileOptions, FileSystemSyncAccessHandle, WorkerGlobalScope};

/// The storage's own directory. Where the page is not served securely there is none.
pub async fn root() -> Result<FileSystemDirectoryHandle, JsValue> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let storage = js_sys::Reflect::get(&scope.navigator(), &"storage".into())?;
    let storage: web_sys::StorageManager = storage.dyn_into()?;
    Ok(JsFuture::from(storage.get_directory()).await?.unchecked_into())
}

/// Opens a file for this worker alone.
pub async fn open(directory: &FileSystemDirectoryHandle, name: &str, create: bool) -> Result<FileSystemSyncAccessHandle, JsValue> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(create);
    let file = JsFuture::from(directory.get_file_handle_with_options(name, &options)).await?;
    let file: FileSystemFileHandle = file.unchecked_into();
    Ok(JsFuture::from(file.create_sync_access_handle()).await?.unchecked_into())
}

/// A whole file.
pub async fn read(directory: &FileSystemDirectoryHandle, name: &str) -> Result<Vec<u8>, JsValue> {
    let file = open(directory, name, false).await?;
    let mut bytes = vec![0; file.get_size().unwrap_or(0.0) as usize];
    let read = file.read_with_u8_array(&mut bytes);
    file.close();
    read.map(|_| bytes)
}

/// Writes a whole file.
pub async fn write(directory: &FileSystemDirectoryHandle, name: &str, bytes: &[u8]) -> Result<(), JsValue> {
    let file = open(directory, name, true).await?;
    let write = || {
        file.truncate_with_u32(0)?;
        let written = file.write_with_u8_array(bytes)?;
        file.flush()?;
        if written as usize == bytes.len() { Ok(()) } else { Err(JsValue::from_str("the storage is full")) }
    };
    let outcome = write();
    file.close();
    outcome
}
