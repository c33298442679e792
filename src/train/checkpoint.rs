//! Snapshots on disk. If the process is killed at any time, the last snapshot remains intact.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, View};

use super::run_file::{CHECKPOINT, METRICS, RUN, RunFile};
use super::snapshot::{Fields, Kept, check_run, incomplete, lacks};
use super::{Snapshot, Trainer};
use crate::error::{Error, Result};
use crate::model::directory_writer::{write_atomically, write_atomically_with};
use crate::model::weights::{f32_safetensors, to_f32};
use crate::model::{Parameter, ParameterId, Parameters, WeightSource};

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
    let fields = Fields::write(&trainer.run_id(), trainer.steps_done(), trainer.round_to_keep());
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

/// Resumes a run from its checkpoint, of which the host holds a few rows at a time. Returns a note on each setting that differs and may: the
/// strategy, which changes no bits, and the schedule.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Checkpoint`] if it is damaged, or of another run: it names what differs; or if the
/// device was lost.
pub async fn resume_run(path: &Path, trainer: &mut Trainer) -> Result<Vec<String>> {
    let saved = SavedRun::open(path)?;
    let notes = check_run(&saved.shown, (&saved.fields.run, saved.fields.step), &trainer.run_id())?;
    let values = Kept::ALL.map(|kept| KeptValues { saved: &saved, kept });
    trainer.restore_from(saved.fields.step, saved.fields.round.clone(), &values).await?;
    Ok(notes)
}

/// A checkpoint whose header was read and checked.
struct SavedRun {
    file: File,
    shown: String,
    fields: Fields,
    header: Metadata,
    /// The offset of the first byte after the header.
    start: u64,
}

/// Bytes of the header's length, which precedes the header.
const PREFIX: u64 = 8;

impl SavedRun {
    fn open(path: &Path) -> Result<SavedRun> {
        let shown = path.display().to_string();
        let io = |e: std::io::Error| Error::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut read = |bytes: u64| -> Result<Vec<u8>> {
            let mut read = Vec::new();
            file.by_ref().take(bytes).read_to_end(&mut read).map_err(io)?;
            Ok(read)
        };
        // A header that is cut off is no JSON.
        let length = read(PREFIX)?.try_into().map_or(0, u64::from_le_bytes).min(size);
        let header: Metadata = serde_json::from_slice(&read(length)?).map_err(|e| incomplete(&shown, e))?;
        let (start, there) = (PREFIX + length, header.data_len() as u64);
        if size != start + there {
            return Err(incomplete(
                &shown,
                format!("its header speaks of {there} bytes of tensors, and there are {}", size.saturating_sub(start)),
            ));
        }
        let fields = Fields::read(&shown, &header)?;
        let saved = SavedRun { file, shown, fields, header, start };
        saved.check_tensors()?;
        Ok(saved)
    }

    /// Checks that all tensors are there.
    fn check_tensors(&self) -> Result<()> {
        let parameters = Parameters::new(&self.fields.run.spec);
        Kept::ALL.into_iter().try_for_each(|kept| {
            parameters.trainable().try_for_each(|(_, parameter)| {
                let name = kept.name(parameter);
                let is_whole =
                    |info: &&TensorInfo| info.dtype == Dtype::F32 && info.shape.iter().product::<usize>() == parameter.elements();
                self.header.info(&name).filter(is_whole).map_or_else(|| Err(lacks(&self.shown, &name)), |_| Ok(()))
            })
        })
    }

    /// Some elements of a tensor.
    fn read(&self, name: &str, elements: Range<u64>) -> Result<Vec<f32>> {
        let info = self.header.info(name).expect("its tensors were checked");
        let mut bytes = vec![0; 4 * (elements.end - elements.start) as usize];
        let mut file = &self.file;
        let from = self.start + info.data_offsets.0 as u64 + 4 * elements.start;
        let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|e| Error::io(Path::new(&self.shown), e))?;
        Ok(to_f32(Dtype::F32, &bytes).expect("f32 is supported"))
    }
}

/// Values or moments in a checkpoint.
struct KeptValues<'a> {
    saved: &'a SavedRun,
    kept: Kept,
}

impl WeightSource for KeptValues<'_> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        let [from, to] = [rows.start, rows.end].map(|row| u64::from(row) * u64::from(parameter.cols.size()));
        self.saved.read(&self.kept.name(parameter), from..to).map(Cow::Owned)
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
