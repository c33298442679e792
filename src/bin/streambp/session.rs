//! How the program was called, whatever the command: on which adapter, with which output, and the signals that ask it to stop.
//!
//! What was found out about an adapter is cached on disk: the fastest kernels for a model, its speed, and whether it keeps the bits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use streambp::error::Result;
use streambp::gpu::{Ceilings, DeviceClass, Gpu, Tuning};
use streambp::model::ModelSpec;
use streambp::step::{BatchShape, Limits, Objective, Plan, Program, Strategy};
use streambp::train::{SelfCheck, adapter_key, tune, tuning_key};

use crate::options::{StrategyOptions, auto_words, progress_bar};
use crate::output;
use crate::ranks::Ranks;
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
    /// This process among those that do the same.
    pub ranks: &'a Ranks,
}

impl Session<'_> {
    /// Opens the adapter. Ranks on one machine open one each, as far as there are so many.
    pub async fn open(self) -> Result<Gpu> {
        Gpu::open_nth(self.adapter, self.ranks.local_rank()).await
    }

    /// Warns if gradients are not the same bits for every chunk length and strategy on this adapter. It is checked once, and kept.
    pub async fn check(self, gpu: &Gpu) -> Result<()> {
        let found: SelfCheck = match kept(SELF_CHECKS, &adapter_key(gpu)) {
            Some(found) => found,
            None => self.check_again(gpu).await?,
        };
        if let Some(sentence) = found.warning(gpu.name()) {
            output::say(format_args!("note: {sentence}"));
        }
        Ok(())
    }

    /// Checks the adapter, whatever was found before.
    pub async fn check_again(self, gpu: &Gpu) -> Result<SelfCheck> {
        let found = SelfCheck::of(gpu).await?;
        keep(SELF_CHECKS, adapter_key(gpu), found.clone());
        Ok(found)
    }

    /// What the adapter does at most: measured once, and kept.
    pub async fn ceilings(self, gpu: &Gpu) -> Result<Ceilings> {
        let key = adapter_key(gpu);
        if let Some(ceilings) = kept(CEILINGS, &key) {
            return Ok(ceilings);
        }
        let ceilings = gpu.ceilings().await?;
        keep(CEILINGS, key, ceilings);
        Ok(ceilings)
    }

    /// The strategy of the options for such batches. The adapter is measured only where its speed decides.
    pub async fn strategy(
        self,
        options: &StrategyOptions,
        objective: Objective,
        spec: &ModelSpec,
        shape: &BatchShape,
        budget: Option<u64>,
        gpu: &Gpu,
    ) -> Result<Strategy> {
        let speed = if options.needs_speed(shape) { self.ceilings(gpu).await?.into() } else { DeviceClass::TYPICAL.speed() };
        let (strategy, auto) = options.resolve(objective, spec, shape, budget, gpu.limits(), &speed);
        auto.iter().for_each(|&auto| output::say(format_args!("note: {}", auto_words(auto))));
        Ok(strategy)
    }

    /// The device with the fastest kernels for the model, from the cache or by autotuning. All ranks have the same, or their results would
    /// differ in some bits.
    pub async fn tune(self, gpu: Gpu, spec: &ModelSpec) -> Result<Gpu> {
        let tuning = self.ranks.same(self.tuning(&gpu, spec)).await?;
        Ok(tuning.map_or(gpu.clone(), |tuning| gpu.with_tuning(tuning)))
    }

    /// The tuning for the fastest kernels; `None` for those of the adapter's class. A tuning that cannot be stored is not used: the next search
    /// might find another one, whose results differ in some bits.
    async fn tuning(self, gpu: &Gpu, spec: &ModelSpec) -> Result<Option<Tuning>> {
        if self.no_tune || cache_file(TUNINGS).is_none() {
            return Ok(None);
        }
        let key = tuning_key(gpu, spec);
        if let Some(tuning) = kept(TUNINGS, &key) {
            return Ok(Some(tuning));
        }
        let bar = progress_bar(100, "looking for the fastest kernels");
        let progress = |share: f64| {
            bar.set_position((share * 100.0) as u64);
            self.signals.received().is_none()
        };
        let tuning = tune(gpu, spec, progress).await?;
        bar.finish_and_clear();
        // A search that was broken off has not found the fastest.
        self.signals.check()?;
        Ok(keep(TUNINGS, key, tuning).then_some(tuning))
    }
}

/// Plans each program for a device with those limits.
///
/// # Errors
/// [`Error::BindingTooLarge`](streambp::error::Error::BindingTooLarge) if a tensor exceeds a binding.
pub fn plan_all(programs: impl Iterator<Item = Program>, limits: Limits) -> Result<Vec<Plan>> {
    programs.map(|program| Plan::new(program, limits)).collect()
}

/// The cache files: tunings, and what adapters were found to do.
const TUNINGS: &str = "tuning.json";
const CEILINGS: &str = "ceilings.json";
const SELF_CHECKS: &str = "self-checks.json";

fn cache_file(name: &str) -> Option<PathBuf> {
    dirs::cache_dir().map(|directory| directory.join("streambp").join(name))
}

/// The value of a key in a cache file.
fn kept<T: DeserializeOwned>(name: &str, key: &str) -> Option<T> {
    read(&cache_file(name)?).remove(key)
}

/// Adds a value to a cache file. Is it there now? What cannot be kept is found out again the next time.
fn keep<T: Serialize + DeserializeOwned>(name: &str, key: String, value: T) -> bool {
    let Some(file) = cache_file(name) else { return false };
    let mut cached = read(&file);
    cached.insert(key, value);
    write(&file, &cached).is_ok()
}

/// What a cache file has. Nothing if it is missing, or was written by another version.
fn read<T: DeserializeOwned>(file: &Path) -> BTreeMap<String, T> {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write<T: Serialize>(file: &Path, cached: &BTreeMap<String, T>) -> std::io::Result<()> {
    std::fs::create_dir_all(file.parent().expect("it lies in a directory"))?;
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    std::fs::write(&partial, serde_json::to_vec_pretty(cached).expect("it is plain data"))?;
    std::fs::rename(&partial, file)
}
