//! How the program was called, whatever the command: on which adapter, with which output, and the signals that ask it to stop.
//!
//! The fastest kernels for an adapter and a model are cached on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use streambp::error::Result;
use streambp::gpu::{Gpu, Tuning};
use streambp::model::ModelSpec;
use streambp::step::{Limits, Plan, Program};
use streambp::train::{tune, tuning_key};

use crate::options::progress_bar;
use crate::signals::Signals;

/// Options of all commands, and the signals that came.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// A part of the adapter's name.
    pub adapter: Option<&'a str>,
    /// Use the default kernels, without autotuning?
    pub no_tune: bool,
    /// Print JSON?
    pub json: bool,
    /// Signals that ask the program to stop.
    pub signals: &'a Signals,
}

impl Session<'_> {
    /// Opens the adapter.
    pub async fn open(self) -> Result<Gpu> {
        Gpu::open(self.adapter).await
    }

    /// The device with the fastest kernels for the model, from the cache or by autotuning. A tuning that cannot be stored is not used: the
    /// next search might find another one, whose results differ in some bits.
    pub async fn tune(self, gpu: Gpu, spec: &ModelSpec) -> Result<Gpu> {
        let Some(file) = file().filter(|_| !self.no_tune) else { return Ok(gpu) };
        let key = tuning_key(&gpu, spec);
        let mut cached = read(&file);
        if let Some(&tuning) = cached.get(&key) {
            return Ok(gpu.with_tuning(tuning));
        }
        let bar = progress_bar(100, "looking for the fastest kernels");
        let progress = |share: f64| {
            bar.set_position((share * 100.0) as u64);
            self.signals.received().is_none()
        };
        let tuning = tune(&gpu, spec, progress).await?;
        bar.finish_and_clear();
        // A search that was broken off has not found the fastest.
        self.signals.check()?;
        cached.insert(key, tuning);
        let is_stored = write(&file, &cached).is_ok();
        Ok(if is_stored { gpu.with_tuning(tuning) } else { gpu })
    }
}

/// Plans each program for a device with those limits.
///
/// # Errors
/// [`Error::BindingTooLarge`](streambp::error::Error::BindingTooLarge) if a tensor exceeds a binding.
pub fn plan_all(programs: impl Iterator<Item = Program>, limits: Limits) -> Result<Vec<Plan>> {
    programs.map(|program| Plan::new(program, limits)).collect()
}

fn file() -> Option<PathBuf> {
    dirs::cache_dir().map(|directory| directory.join("streambp").join("tuning.json"))
}

/// The tunings in the cache file. Empty if it is missing, or was written by another version.
fn read(file: &Path) -> BTreeMap<String, Tuning> {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write(file: &Path, cached: &BTreeMap<String, Tuning>) -> std::io::Result<()> {
    std::fs::create_dir_all(file.parent().expect("it lies in a directory"))?;
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    std::fs::write(&partial, serde_json::to_vec_pretty(cached).expect("sizes are plain data"))?;
    std::fs::rename(&partial, file)
}
