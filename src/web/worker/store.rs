//! A run in the browser's origin-private storage, so that it outlives a reload or a crash.

use serde::{Deserialize, Serialize};
use wasm_bindgen_futures::JsFuture;
use web_time::Instant;

use super::running::Running;
use crate::gpu::Tuning;
use crate::train::Snapshot;
use crate::web::protocol::{History, Run};
use crate::web::storage;

/// Written in turn, so that a crash in the middle of a write leaves the other whole.
const FILES: [&str; 2] = ["run-a", "run-b"];
/// Seconds between saves while the run goes.
const SAVE_SECONDS: f64 = 15.0;

/// The runs that were saved.
#[derive(Default)]
pub struct Store {
    /// The number of the last save, from 1; 0 while it is not known.
    last: u64,
    since: Option<Instant>,
}

/// A run that was saved.
pub struct Saved {
    pub run: Run,
    pub tuning: Tuning,
    pub history: History,
    pub snapshot: Snapshot,
    number: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    number: u64,
    run: Run,
    tuning: Tuning,
    history: History,
}

impl Store {
    /// What was saved last, and how many steps it had done.
    pub async fn describe(&mut self) -> Option<(Run, u64)> {
        let saved = self.load().await?;
        Some((saved.run, saved.snapshot.step))
    }

    /// What was saved last. A file that is broken is passed over.
    pub async fn load(&mut self) -> Option<Saved> {
        let directory = storage::root().await.ok()?;
        let mut saved = Vec::new();
        for name in FILES {
            let bytes = storage::read(&directory, name).await.ok();
            saved.extend(bytes.and_then(|bytes| Saved::from_bytes(name, &bytes)));
        }
        let newest = saved.into_iter().max_by_key(|saved| saved.number)?;
        self.last = self.last.max(newest.number);
        Some(newest)
    }

    /// Saves a run's state, if the last save was some time ago.
    pub async fn save_now_and_then(&mut self, running: &mut Running) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed().as_secs_f64() > SAVE_SECONDS {
            self.save(running).await;
        }
    }

    /// Saves a run's state. A browser that gives no room to it is no reason to stop a run.
    pub async fn save(&mut self, running: &mut Running) {
        self.since = Some(Instant::now());
        if running.trainer.steps_done() == 0 {
            return;
        }
        let number = self.last + 1;
        let (run, tuning) = (running.run.clone(), running.tuning());
        let Ok((snapshot, history)) = running.state().await else { return };
        let header = Header { number, run, tuning, history: history.clone() };
        let header = postcard::to_allocvec(&header).expect("a run is plain data");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &snapshot.to_bytes()].concat();
        let Ok(directory) = storage::root().await else { return };
        if storage::write(&directory, FILES[(number % 2) as usize], &bytes).await.is_ok() {
            self.last = number;
        }
    }

    /// Forgets what was saved.
    pub async fn forget(&mut self) {
        let Ok(directory) = storage::root().await else { return };
        for name in FILES {
            // One that is not there is forgotten already.
            let _ = JsFuture::from(directory.remove_entry(name)).await;
        }
    }
}

impl Saved {
    fn from_bytes(name: &str, bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|&length| length <= rest.len())?;
        let (header, snapshot) = rest.split_at(length);
        let Header { number, run, tuning, history } = postcard::from_bytes(header).ok()?;
        Some(Saved { run, tuning, history, snapshot: Snapshot::from_bytes(name, snapshot).ok()?, number })
    }
}
