//! Bytes of all living buffers of a device, by what they are for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The count. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryCounter(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl MemoryCounter {
    /// Bytes there are, by use.
    pub fn entries(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().expect("no holder panics").iter().filter(|(_, bytes)| **bytes > 0).map(|(name, bytes)| (*name, *bytes)).collect()
    }

    /// Counts bytes that came, or with a negative number went.
    pub fn change(&self, name: &'static str, by: i128) {
        let mut entries = self.0.lock().expect("no holder panics");
        let bytes = entries.entry(name).or_default();
        *bytes = (i128::from(*bytes) + by) as u64;
    }
}
