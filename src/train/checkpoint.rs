//! Snapshots on disk. A kill at any moment leaves the last one whole.

use std::fs;
use std::path::Path;

use super::Snapshot;
use crate::error::{Error, Result};
use crate::model::directory::write_atomically;
use crate::model::weights::f32_safetensors;

/// Puts a snapshot in the place of the last one.
///
/// # Errors
/// [`Error::Io`] with the file's name.
pub fn save_snapshot(path: &Path, snapshot: &Snapshot) -> Result<()> {
    write_atomically(path, &snapshot.to_bytes())
}

/// Reads a snapshot.
///
/// # Errors
/// [`Error::Io`] or [`Error::Checkpoint`] with the file's name.
pub fn load_snapshot(path: &Path) -> Result<Snapshot> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    Snapshot::from_bytes(&path.display().to_string(), &bytes)
}

/// Writes named tensors (name, shape, values) as one safetensors file.
///
/// # Errors
/// [`Error::Io`] with the file's name.
pub fn tensors_to_file(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Result<()> {
    let views = tensors.iter().map(|(name, shape, values)| (name.clone(), shape.clone(), &values[..]));
    write_atomically(path, &f32_safetensors(views, &[("format", "pt")]))
}
