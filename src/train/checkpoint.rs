//! Snapshots on disk. If the process is killed at any time, the last snapshot remains intact.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, View};

use super::run_file::{CHECKPOINT, METRICS, RUN, RunFile};
use super::snapshot::{Kept, fields};
use super::{Snapshot, Trainer};
use crate::error::{Error, Result};
use crate::model::directory_writer::{write_atomically, write_atomically_with};
use crate::model::weights::f32_safetensors;
use crate::model::{ParameterId, Parameters};

/// Saves a run to its directory: how it was started, the lines of what it has done, and its state. The state comes last: what it does not
/// know of is left out when the run is resumed. Each tensor is read when it is written, so the host holds one at a time. Of several ranks,
/// the first saves the run, and the others meanwhile [hand over](Trainer::hand_over_moments) what they hold.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::DeviceLost`], or if a rank cannot be reached.
pub fn save_run(directory: &Path, started: &RunFile, metrics: &str, trainer: &mut Trainer) -> Result<()> {
    let texts = [(RUN, started.to_json()), (METRICS, metrics.to_owned())];
    let write = |(name, text): &(&str, String)| write_atomically(&directory.join(name), text.as_bytes());
    let saved = texts.iter().try_for_each(write).and_then(|()| save_state(&directory.join(CHECKPOINT), trainer));
    // The others wait, whatever became of the file.
    saved.and(trainer.end_hand_over())
}

/// Saves the state of a run, which replaces the previous file atomically: that of [`Snapshot::to_bytes`].
fn save_state(path: &Path, trainer: &mut Trainer) -> Result<()> {
    let parameters = Parameters::new(trainer.spec());
    let fields = fields(&trainer.run_id(), trainer.steps_done(), trainer.round_to_keep());
    let fields: HashMap<String, String> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    // The library writes the file tensor by tensor through a trait that cannot return errors, so the first error is stored here.
    let (trainer, failure) = (RefCell::new(trainer), RefCell::new(None));
    let tensors = Kept::ALL.into_iter().flat_map(|kept| parameters.trainable().map(move |(id, parameter)| (kept, id, parameter)));
    let tensors = tensors.map(|(kept, id, parameter)| {
        let (shape, bytes) = (parameter.shape(), 4 * parameter.elements());
        (kept.name(parameter), KeptTensor { trainer: &trainer, kept, id, shape, bytes, failure: &failure })
    });
    let written = write_atomically_with(path, |temporary| {
        safetensors::serialize_to_file(tensors, Some(fields), temporary).map_err(std::io::Error::other)?;
        if failure.borrow().is_some() { Err(std::io::Error::other("not all of it could be read")) } else { Ok(()) }
    });
    failure.into_inner().map_or(written, Err)
}

/// A tensor of a run's state, which is read when it is written.
struct KeptTensor<'a> {
    trainer: &'a RefCell<&'a mut Trainer>,
    kept: Kept,
    id: ParameterId,
    shape: Vec<usize>,
    bytes: usize,
    failure: &'a RefCell<Option<Error>>,
}

impl View for KeptTensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.failure.borrow().is_some() {
            return Cow::Borrowed(&[]);
        }
        match pollster::block_on(self.trainer.borrow_mut().read_kept(self.kept, self.id)) {
            Ok(values) => Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Err(error) => {
                *self.failure.borrow_mut() = Some(error);
                Cow::Borrowed(&[])
            }
        }
    }

    fn data_len(&self) -> usize {
        self.bytes
    }
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
