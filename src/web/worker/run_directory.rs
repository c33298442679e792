//! The directory of a run in the browser's storage, so that the run outlives a reload or a crash. It has two files that are written in
//! turn, so that a crash in the middle of a write leaves the other whole, and the run's text, which is written once. Whoever has the run
//! in progress holds its lock.

use js_sys::Date;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, FileSystemDirectoryHandle, WorkerGlobalScope};
use web_time::Instant;

use super::locks::{self, Lock};
use super::running::RunState;
use crate::error::{Error, Result};
use crate::gpu::Tuning;
use crate::web::protocol::{About, Data, Run};
use crate::web::save_file::{self, Header};
use crate::web::{blob, storage};

/// The directory of all runs.
const RUNS: &str = "runs";
/// The files that are written in turn.
const SLOTS: [&str; 2] = ["a", "b"];
const TEXT: &str = "text";
/// Seconds between saves while a run goes.
const SAVE_SECONDS: f64 = 15.0;

/// The directory of the run in progress.
pub struct RunDirectory {
    id: String,
    lock: Lock,
    /// The file of the run's text.
    text: Option<Blob>,
    /// The number of the last save; 0 if there is none.
    number: u64,
    /// The step after which the run was saved last.
    saved_step: Option<u64>,
    tried: Instant,
}

/// A run as it was saved.
pub struct Saved {
    pub run: Run,
    pub tuning: Tuning,
    pub state: RunState,
    pub text: Option<Blob>,
}

impl RunDirectory {
    /// That of a new run. Nothing is written before the first save.
    pub async fn new(text: Option<Blob>) -> Self {
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        let id = scope.crypto().expect("a worker has random numbers").random_uuid();
        let lock = locks::take(&lock_name(&id)).await.expect("nobody else has a new name");
        RunDirectory { id, lock, text, number: 0, saved_step: None, tried: Instant::now() }
    }

    /// Opens a saved run. A file that is damaged is passed over.
    ///
    /// # Errors
    /// [`Error::Data`] if another tab has the run in progress, or nothing of it can be read.
    pub async fn open(id: &str) -> Result<(Self, Saved)> {
        let lock = take_lock(id).await?;
        match Self::read(id).await {
            Ok((header, state, text)) => {
                let About { run, step, .. } = header.about;
                let (number, saved_step) = (header.number, Some(step));
                let own = RunDirectory { id: id.to_owned(), lock, text: text.clone(), number, saved_step, tried: Instant::now() };
                Ok((own, Saved { run, tuning: header.tuning, state, text }))
            }
            Err(error) => {
                lock.release().await;
                Err(error)
            }
        }
    }

    async fn read(id: &str) -> Result<(Header, RunState, Option<Blob>)> {
        let unreadable = || Error::Data("the saved run cannot be read; forget it, and start a new one".to_owned());
        let directory = directory_of(id).await.map_err(|_| unreadable())?;
        let (header, state) = newest(&directory).await.ok_or_else(unreadable)?;
        let text = match &header.about.run.data {
            Data::Text(given) => {
                let text = storage::file(&directory, TEXT).await.ok().filter(|text| text.size() as u64 == given.size);
                Some(text.ok_or_else(|| {
                    Error::Data(format!("the text {} of the saved run cannot be read; forget the run, and start a new one", given.name))
                })?)
            }
            _ => None,
        };
        Ok((header, state, text))
    }

    /// Lets others have the run.
    pub async fn close(self) {
        self.lock.release().await;
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file of the run's text.
    pub fn text(&self) -> Option<&Blob> {
        self.text.as_ref()
    }

    /// The step after which the run was saved last.
    pub fn saved_step(&self) -> Option<u64> {
        self.saved_step
    }

    /// Is it time for another save?
    pub fn is_due(&self) -> bool {
        self.tried.elapsed().as_secs_f64() > SAVE_SECONDS
    }

    /// Saves a state of the run, unless that is saved already. If that fails, the last save is still there.
    ///
    /// # Errors
    /// What the browser says.
    pub async fn save(&mut self, run: &Run, tuning: Tuning, state: &RunState) -> Result<(), JsValue> {
        self.tried = Instant::now();
        let step = state.snapshot.step;
        if step == 0 || self.saved_step == Some(step) {
            return Ok(());
        }
        let directory = directory_of(&self.id).await?;
        // Written by the first save, and again only if something took it away.
        if let Some(text) = &self.text
            && text_bytes(&directory).await != text.size() as u64
        {
            storage::copy(text, &directory, TEXT).await?;
        }
        let number = self.number + 1;
        let about = About { run: run.clone(), step, saved_at: Date::now() };
        let parts = save_file::encode(number, about, tuning, &state.history, &state.snapshot);
        storage::write(&directory, SLOTS[(number % 2) as usize], &parts.each_ref().map(Vec::as_slice)).await?;
        (self.number, self.saved_step) = (number, Some(step));
        Ok(())
    }
}

/// The directory of all runs.
pub async fn all() -> Result<FileSystemDirectoryHandle, JsValue> {
    storage::directory(&storage::root().await?, RUNS).await
}

/// The lock of a run.
///
/// # Errors
/// [`Error::Data`] if another tab holds it.
pub async fn take_lock(id: &str) -> Result<Lock> {
    let lock = locks::take(&lock_name(id)).await;
    lock.ok_or_else(|| Error::Data("this run is open in another tab; go on with it there, or close that tab first".to_owned()))
}

/// The name of a run's lock.
pub fn lock_name(id: &str) -> String {
    format!("streambp run {id}")
}

/// The files that hold states of a run, with what the front of each says; `None` if it is damaged.
pub async fn slots(directory: &FileSystemDirectoryHandle) -> Vec<(Blob, Option<Header>)> {
    let mut slots = Vec::new();
    for name in SLOTS {
        // One that is not there was not written yet.
        if let Ok(file) = storage::file(directory, name).await {
            let header = header(&file).await;
            slots.push((file, header));
        }
    }
    slots.sort_by_key(|(_, header)| std::cmp::Reverse(header.as_ref().map_or(0, |header| header.number)));
    slots
}

/// Bytes of the text of a run.
pub async fn text_bytes(directory: &FileSystemDirectoryHandle) -> u64 {
    storage::file(directory, TEXT).await.map_or(0, |text| text.size() as u64)
}

async fn header(file: &Blob) -> Option<Header> {
    let prefix = blob::read(file, 0..save_file::PREFIX_BYTES as u64).await.ok()?;
    let end = save_file::header_end(&prefix.to_vec())?.min(file.size() as u64);
    save_file::header(&blob::read(file, 0..end).await.ok()?.to_vec())
}

/// The newest state that is whole.
async fn newest(directory: &FileSystemDirectoryHandle) -> Option<(Header, RunState)> {
    for (file, _) in slots(directory).await {
        let bytes = blob::read_whole("the saved run", &file).await.ok();
        if let Some((header, history, snapshot)) = bytes.and_then(|bytes| save_file::decode(&bytes)) {
            return Some((header, RunState { snapshot, history }));
        }
    }
    None
}

async fn directory_of(id: &str) -> Result<FileSystemDirectoryHandle, JsValue> {
    storage::directory(&all().await?, id).await
}
