//! Autotuning: measures which kernels are fastest for an adapter and a model's sizes.
//!
//! It measures one layer of the model on the last chunk of a batch, of fixed lengths whatever a run's are, since all chunk lengths and
//! strategies must use the same kernels. The caller should store the result, so that later runs are bit-identical.

use web_time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Executor, Gpu, Kernels, TunableOp, Tuning};
use crate::model::{Config, ModelSpec};
use crate::step::{BatchShape, Op, OpInstance, Pass, Plan, Program, Strategy};

/// Tokens of the batch: with fewer keys attention is mostly overhead.
const TOKENS: u32 = 2048;
/// Tokens of a chunk: on a GPU, enough for the largest tiles.
const CHUNK: u32 = 1024;
/// The same on a driver that runs on a CPU, where they would take the whole time of the search.
const CPU_CHUNK: u32 = 256;
/// The largest vocabulary of the measured model: its LM head is a matrix like others.
const WORDS: u32 = 1024;
/// The time limit of the search.
const LIMIT: Duration = Duration::from_secs(4);
/// The factor by which a kernel must be faster to replace the default, so that noise does not decide.
const GAIN: f64 = 1.1;

/// Tries the candidates of each tunable operation, one after the other, for at most four seconds. `progress` gets the completed fraction
/// and returns whether to continue. Returns the fastest tuning found.
///
/// # Errors
/// If the device was lost.
pub async fn tune(gpu: &Gpu, spec: &ModelSpec, progress: impl Fn(f64) -> bool) -> Result<Tuning> {
    let is_cancelled = std::cell::Cell::new(false);
    let goes_on = |share| {
        is_cancelled.set(!progress(share));
        !is_cancelled.get()
    };
    let tuning = fastest_tiles(gpu, spec, goes_on).await?;
    if tuning.is_for_cpu() || is_cancelled.get() {
        return Ok(tuning);
    }
    Ok(Tuning { busy_workgroups: gpu.ceilings().await?.busy_workgroups(), ..tuning })
}

async fn fastest_tiles(gpu: &Gpu, spec: &ModelSpec, goes_on: impl Fn(f64) -> bool) -> Result<Tuning> {
    let started = Instant::now();
    let chunk = if gpu.tuning().is_for_cpu() { CPU_CHUNK } else { CHUNK };
    let program = Program::gradients(one_layer(spec), BatchShape::uniform(1, TOKENS), Strategy::stream(chunk, chunk));
    let executor = Executor::new(Kernels::new(gpu, Plan::new(program, gpu.limits())?)?).await?;
    let mut tuning = *gpu.tuning();
    for (done, tunable) in TunableOp::ALL.into_iter().enumerate() {
        let Some(instance) = most_expensive(executor.program(), tunable) else { continue };
        // Smaller tiles for short chunks follow from the one that is measured.
        let seconds = async |tuning: &Tuning| executor.seconds_with(instance, &Tuning { busy_workgroups: 1, ..*tuning }).await;
        let mut least = seconds(&tuning).await? / GAIN;
        let candidates = gpu.candidates(tunable);
        for (tried, candidate) in candidates.iter().enumerate() {
            let share = (done as f64 + tried as f64 / candidates.len() as f64) / TunableOp::ALL.len() as f64;
            if !goes_on(share) || started.elapsed() > LIMIT {
                return Ok(tuning);
            }
            let seconds = seconds(candidate).await?;
            if seconds < least {
                (least, tuning) = (seconds, tuning.with(tunable, candidate));
            }
        }
    }
    Ok(tuning)
}

/// The key under which a tuning may be stored: it has everything that the tuning depends on.
pub fn tuning_key(gpu: &Gpu, spec: &ModelSpec) -> String {
    let (adapter, c) = (gpu.summary(), &spec.config);
    let sizes = [c.hidden_size, c.intermediate_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim];
    let frozen = spec.adapters().map(|lora| lora.rank);
    let (dtype, version) = (spec.activation_dtype.name(), env!("CARGO_PKG_VERSION"));
    format!("{} {} {} {sizes:?} {frozen:?} {dtype} {version}", adapter.name, adapter.backend, adapter.driver)
}

fn one_layer(spec: &ModelSpec) -> ModelSpec {
    let c = &spec.config;
    let config = Config {
        num_hidden_layers: 1,
        vocab_size: c.vocab_size.min(WORDS),
        sliding_layers: c.sliding_layers.iter().take(1).copied().collect(),
        ..c.clone()
    };
    ModelSpec { config, ..spec.clone() }
}

/// The most expensive instance of a tunable operation in the step, by floating-point operations.
pub(super) fn most_expensive(program: &Program, tunable: TunableOp) -> Option<OpInstance> {
    let op = |instance: &OpInstance| -> &Op { program.op(instance.block, instance.node) };
    let instances = program.instances(program.span(Pass::GRADIENTS)).filter(|instance| op(instance).kind() == tunable.op());
    instances.max_by_key(|instance| program.flops(op(instance), instance.chunk))
}
