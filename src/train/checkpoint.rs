//! Snapshots on disk. If the process is killed at any time, the last snapshot remains intact.

use std::fs;
use std::path::Path;

use super::Snapshot;
use super::run_file::{CHECKPOINT, METRICS, RUN, RunFile};
use crate::error::{Error, Result};
use crate::model::directory_writer::write_atomically;
use crate::model::weights::f32_safetensors;

/// Saves a snapshot, which replaces the previous file atomically.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn save_snapshot(path: &Path, snapshot: &Snapshot) -> Result<()> {
    write_atomically(path, &snapshot.to_bytes())
}

/// Saves a run to its directory: how it was started, the lines of what it has done, and its state. The state comes last: what it does not
/// know of is left out when the run is resumed.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn save_run(directory: &Path, started: &RunFile, metrics: &str, snapshot: &Snapshot) -> Result<()> {
    write_atomically(&directory.join(RUN), started.to_json().as_bytes())?;
    write_atomically(&directory.join(METRICS), metrics.as_bytes())?;
    save_snapshot(&directory.join(CHECKPOINT), snapshot)
}

/// Loads a snapshot.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Checkpoint`] if it is damaged.
pub fn load_snapshot(path: &Path) -> Result<Snapshot> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    Snapshot::from_bytes(&path.display().to_string(), &bytes)
}

/// Saves named f32 tensors (name, shape, values) as a safetensors file.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn tensors_to_file(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Result<()> {
    let views = tensors.iter().map(|(name, shape, values)| (name.clone(), shape.clone(), &values[..]));
    write_atomically(path, &f32_safetensors(views, &[("format", "pt")]))
}
