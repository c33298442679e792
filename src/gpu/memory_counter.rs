//! Counts the bytes of all existing buffers of a device, by use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The counter. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryCounter(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl MemoryCounter {
    /// Bytes by name of use, without zeros.
    pub fn entries(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().expect("no holder panics").iter().filter(|(_, bytes)| **bytes > 0).map(|(name, bytes)| (*name, *bytes)).collect()
    }

    /// Adds bytes that were allocated, or, with a negative number, subtracts bytes that were freed.
    pub fn change(&self, name: &'static str, by: i128) {
        let mut entries = self.0.lock().expect("no holder panics");
        let bytes = entries.entry(name).or_default();
        *bytes = (i128::from(*bytes) + by) as u64;
    }
}
