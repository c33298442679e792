//! Snapshots on disk. A kill at any moment leaves the last one whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::Snapshot;
use crate::error::{Error, Result};

/// Writes a file beside the old one, makes sure that it is on the disk, and only then puts it in the old one's place.
///
/// # Errors
/// [`Error::Io`] with the file's name.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is only safe once the directory is; not every system lets a directory be opened for that.
        if let Some(Ok(directory)) = path.parent().map(File::open) {
            directory.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| Error::io(path, e))
}

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
