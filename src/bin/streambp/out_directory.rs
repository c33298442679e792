//! The directory of `--out`: made, probed and locked before the first step.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use streambp::error::{Error, Result};
use streambp::model::{is_model_file, model_files, remove_partial_files};
use streambp::train::run_file::CHECKPOINT;

use crate::options::human_bytes;

/// Locked as long as a process writes to the directory. It stays: removed, two processes could lock two files of that name.
const LOCK: &str = ".streambp-lock";

/// What becomes of a run or a model in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// None may be there.
    Refuse,
    /// The run resumes.
    Resume,
    /// It is replaced, once there is something to replace it.
    Overwrite,
}

/// A directory that this process alone writes to.
pub struct OutDirectory {
    path: PathBuf,
    _lock: File,
}

impl OutDirectory {
    /// Makes the directory, locks it, and checks that it can be written and that nothing is lost there.
    ///
    /// # Errors
    /// [`Error::Setting`] says what to do.
    pub fn open(path: &Path, existing: Existing) -> Result<OutDirectory> {
        let out = path.display();
        let unusable = |e: std::io::Error| Error::Setting(format!("--out {out} cannot be written ({e}); choose another directory"));
        // First, so that nothing is left in a directory that is refused.
        check_existing(path, existing)?;
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(unusable)?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(Error::Setting(format!("another process is writing to {out}; wait for it, or choose another --out")));
        }
        remove_partial_files(path)?;
        Ok(OutDirectory { path: path.to_owned(), _lock: lock })
    }

    /// Checks that the disk has room for a run of `saves` checkpoints of that size, and for its model.
    ///
    /// # Errors
    /// [`Error::Setting`] with the bytes.
    pub fn check_room(&self, checkpoint: u64, saves: u64, model: u64) -> Result<()> {
        // A checkpoint is written beside the one that it replaces.
        let existing = fs::metadata(self.checkpoint()).map_or(0, |file| file.len());
        let needed = (checkpoint * saves.clamp(1, 2)).saturating_sub(existing.min(checkpoint)) + model;
        match fs4::available_space(&self.path) {
            Ok(free) if free < needed => Err(Error::Setting(format!(
                "the run writes {} to {} (its checkpoint, the next one beside it, and the model), and {} are free; make room, or choose another --out",
                human_bytes(needed),
                self.path.display(),
                human_bytes(free)
            ))),
            // Where the system does not tell, the first save will.
            _ => Ok(()),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the run's state.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }
}

fn check_existing(path: &Path, existing: Existing) -> Result<()> {
    let out = path.display();
    let has_run = path.join(CHECKPOINT).is_file();
    let found = match existing {
        Existing::Resume if !has_run => {
            return Err(Error::Setting(format!("there is no checkpoint in {out} to resume from; start without --resume")));
        }
        Existing::Refuse if has_run => "a run that --resume would continue".to_owned(),
        Existing::Refuse => match model_files(path).first().and_then(|file| file.file_name()) {
            Some(file) => format!("another model's {}", file.display()),
            None => return Ok(()),
        },
        Existing::Resume | Existing::Overwrite => return Ok(()),
    };
    Err(Error::Setting(format!("{out} has {found}; choose another --out, or --overwrite it")))
}

/// Refuses an output that would replace an input: the same file or directory, through links too, or a model's file in an input directory.
///
/// # Errors
/// [`Error::Setting`] with both.
pub fn refuse_to_replace<'a>(option: &str, output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let inside = output.file_name().and_then(|name| name.to_str()).filter(|name| is_model_file(name)).and(output.parent());
    // Without a directory, a name stands for a file in the working directory.
    let inside = inside.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let outputs: Vec<PathBuf> = [Some(output), inside].into_iter().flatten().filter_map(|path| path.canonicalize().ok()).collect();
    let is_replaced = |input: &&Path| input.canonicalize().is_ok_and(|input| outputs.contains(&input));
    match inputs.into_iter().find(is_replaced) {
        Some(input) => Err(Error::Setting(format!(
            "{option} {} would replace {}, which is read; choose another {option}",
            output.display(),
            input.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_refused() {
        let directory = OutDirectory::open(&std::env::temp_dir().join(format!("streambp-room-{}", std::process::id())), Existing::Refuse);
        let directory = directory.unwrap();
        assert!(directory.check_room(1, 2, 1).is_ok());
        let said = directory.check_room(1 << 60, 2, 0).unwrap_err().to_string();
        assert!(said.contains("are free"), "{said}");
        fs::remove_dir_all(directory.path()).unwrap();
    }
}
