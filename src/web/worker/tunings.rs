//! The fastest kernels that were found, in the browser's origin-private storage.

use std::collections::BTreeMap;

use crate::gpu::Tuning;
use crate::web::storage;

const FILE: &str = "tunings";

/// By adapter and model.
pub struct Tunings(BTreeMap<String, Tuning>);

impl Tunings {
    /// What there is. A file that another version wrote holds nothing.
    pub async fn load() -> Tunings {
        let read = async { storage::read(&storage::root().await?, FILE).await };
        Tunings(read.await.ok().and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default())
    }

    /// What was found under that name.
    pub fn get(&self, key: &str) -> Option<Tuning> {
        self.0.get(key).copied()
    }

    /// Keeps what was found, if the browser lets it.
    pub async fn keep(&mut self, key: String, tuning: Tuning) -> bool {
        self.0.insert(key, tuning);
        let bytes = postcard::to_allocvec(&self.0).expect("sizes are plain data");
        let written = async { storage::write(&storage::root().await?, FILE, &bytes).await };
        written.await.is_ok()
    }
}
