//! The fastest kernels for an adapter and a model's sizes, found by trying.
//!
//! What is tried is one layer of the model on a batch of a fixed length: neither the run's chunks nor its strategy have a say, since all
//! of them must get the same kernels. What was found is to be kept by whoever asked for it, so that later runs get the same bits.

use web_time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Executor, Gpu, Kernels, TunableOp, Tuning};
use crate::model::{Config, ModelSpec};
use crate::step::{BatchShape, Op, OpInstance, Pass, Plan, Program, Strategy};

/// Tokens of the batch.
const TOKENS: u32 = 256;
/// Words of the model that is tried: its head is a matrix like others.
const WORDS: u32 = 1024;
/// The search ends after this, whatever is still to try.
const LIMIT: Duration = Duration::from_secs(4);
/// A kernel that is to take the place of the class's own has to be faster by this, or noise would choose.
const GAIN: f64 = 1.1;

/// Tries other kernels than the class's own, one operation after the other. `progress` is told which share of the search is behind it, and
/// says whether to go on.
///
/// # Errors
/// If the device was lost.
pub async fn tune(gpu: &Gpu, spec: &ModelSpec, progress: impl Fn(f64) -> bool) -> Result<Tuning> {
    let started = Instant::now();
    let program = Program::gradients(one_layer(spec), BatchShape::uniform(1, TOKENS), Strategy::CHECKPOINT);
    let executor = Executor::new(Kernels::new(gpu, Plan::new(program, gpu.limits())?)?).await?;
    let mut tuning = *gpu.tuning();
    for (done, tunable) in TunableOp::ALL.into_iter().enumerate() {
        let Some(instance) = most_expensive(executor.program(), tunable) else { continue };
        let mut least = executor.seconds_with(instance, &tuning).await? / GAIN;
        let candidates = gpu.candidates(tunable);
        for (tried, candidate) in candidates.iter().enumerate() {
            let goes_on = progress((done as f64 + tried as f64 / candidates.len() as f64) / TunableOp::ALL.len() as f64);
            if !goes_on || started.elapsed() > LIMIT {
                return Ok(tuning);
            }
            let seconds = executor.seconds_with(instance, candidate).await?;
            if seconds < least {
                (least, tuning) = (seconds, tuning.with(tunable, candidate));
            }
        }
    }
    Ok(tuning)
}

/// What a tuning depends on: adapters and layouts for which this is the same may share it.
pub fn tuning_key(gpu: &Gpu, spec: &ModelSpec) -> String {
    let (adapter, c) = (gpu.summary(), &spec.config);
    let sizes = [c.hidden_size, c.intermediate_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim];
    let frozen = spec.adapters().map(|lora| lora.rank);
    format!("{} {} {} {sizes:?} {frozen:?} {}", adapter.name, adapter.backend, adapter.driver, env!("CARGO_PKG_VERSION"))
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

/// The turn of the step that does the most of what a knob is for.
pub(super) fn most_expensive(program: &Program, tunable: TunableOp) -> Option<OpInstance> {
    let op = |instance: &OpInstance| -> &Op { program.op(instance.block, instance.node) };
    let instances = program.instances(program.span(Pass::GRADIENTS)).filter(|instance| op(instance).kind() == tunable.op());
    instances.max_by_key(|instance| program.flops(op(instance), instance.chunk))
}
