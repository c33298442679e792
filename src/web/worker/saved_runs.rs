//! The runs in the browser's storage.

use js_sys::Math;
use wasm_bindgen::prelude::*;
use web_sys::FileSystemDirectoryHandle;

use super::locks;
use super::run_directory::{all, lock_name, slots, take_lock, text_bytes};
use crate::error::{Error, Result};
use crate::web::js_error::{is_named, reason};
use crate::web::protocol::{SavedRun, Storage};
use crate::web::storage::{self, FULL};

/// All saved runs but that of the id, the newest first. Only the fronts of files are read.
pub async fn list(own: Option<&str>) -> Result<Vec<SavedRun>, JsValue> {
    let directory = all().await?;
    let held = locks::held().await;
    let mut runs = Vec::new();
    for entry in storage::entries(&directory).await? {
        let id = entry.name();
        if own != Some(id.as_str()) {
            let is_elsewhere = held.contains(&lock_name(&id));
            runs.extend(saved_run(&directory, id, is_elsewhere, entry.unchecked_into()).await);
        }
    }
    let saved_at = |run: &SavedRun| run.about.as_ref().map_or(0.0, |about| about.saved_at);
    runs.sort_by(|a, b| saved_at(b).total_cmp(&saved_at(a)));
    Ok(runs)
}

/// `None` if no state of the run was ever written. What is there of such a run is removed, unless it is in progress.
async fn saved_run(
    directory: &FileSystemDirectoryHandle,
    id: String,
    is_elsewhere: bool,
    own: FileSystemDirectoryHandle,
) -> Option<SavedRun> {
    let slots = slots(&own).await;
    if slots.is_empty() {
        if let Ok(lock) = take_lock(&id).await {
            // What cannot be removed now is tried the next time.
            let _ = storage::remove(directory, &id).await;
            lock.release().await;
        }
        return None;
    }
    let bytes = slots.iter().map(|(file, _)| file.size() as u64).sum::<u64>() + text_bytes(&own).await;
    let about = slots.into_iter().find_map(|(_, header)| header).map(|header| Box::new(header.about));
    Some(SavedRun { id, about, bytes, is_elsewhere })
}

/// Removes a saved run.
///
/// # Errors
/// [`Error::Data`] if another tab has it in progress, or the browser does not remove it.
pub async fn forget(id: &str) -> Result<()> {
    let lock = take_lock(id).await?;
    let refused = |error: JsValue| {
        let reason = reason(&error);
        Error::Data(format!("the browser does not remove the saved run ({reason}); close other tabs of this page, and try again"))
    };
    let removed = async { storage::remove(&all().await?, id).await }.await;
    lock.release().await;
    removed.map_err(refused)
}

/// Does the browser let a worker save? Some refuse only when a file is opened.
pub async fn probe() -> Storage {
    // Another tab may try at the same time.
    let name = format!("probe-{}", Math::random());
    let attempt = async {
        let root = storage::root().await?;
        let written = storage::write(&root, &name, &[&[0]]).await;
        storage::remove(&root, &name).await?;
        written
    };
    attempt.await.map_or_else(|error| health(&error), |()| Storage::Works)
}

/// What an error says of the storage.
pub fn health(error: &JsValue) -> Storage {
    if is_named(error, FULL) { Storage::IsFull } else { Storage::Refuses(reason(error)) }
}
