//! Snapshots on disk. If the process is killed at any time, the last snapshot remains intact.

use std::fs;
use std::path::Path;

use super::Snapshot;
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
