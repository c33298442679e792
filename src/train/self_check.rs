//! The self-check of an adapter: are gradients bit-identical for two chunk lengths and two strategies there?
//!
//! Every shader says in which order it adds, and what it rounds. Still, a driver may compile it as if numbers were real: Metal does by
//! default. A tiny model, with kernels of its own, tells in about a second. The caller should keep the answer by [`adapter_key`].

use web_time::Instant;

use super::verify::{VerifyReport, verify_on};
use crate::error::Result;
use crate::gpu::{Gpu, HeadTile, Sharing, TokenTile, Tuning, WeightTile};
use crate::model::{Config, ModelSpec, Weights};
use crate::step::{Batch, IGNORED_LABEL, Plan, Program, Strategy};

/// What a self-check found.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SelfCheck {
    /// Were loss and gradients bit-identical?
    pub same_bits: bool,
    /// The parameters whose gradients differed.
    pub different: Vec<String>,
    /// How long it took in seconds, compilation included.
    pub seconds: f64,
}

/// The sizes of the model: D, F, layers, H, K and E. All matrices are 16×16, so they share kernels.
const SIZES: [u32; 6] = [16, 16, 1, 2, 2, 8];
/// V.
const VOCAB_SIZE: u32 = 16;
/// Tokens of the batch: three tiles, the last of which is not whole.
const TOKENS: u32 = 150;

/// The least tiles.
const QUICK: Tuning = Tuning {
    linear: TokenTile { tokens: 4, vec4s: 1, ..Tuning::SMALL_CPU.linear },
    linear_grad: TokenTile { tokens: 4, vec4s: 1, ..Tuning::SMALL_CPU.linear_grad },
    linear_weight_grad: WeightTile { cols: 1, vec4s: 1, unroll: 1, ..Tuning::SMALL_CPU.linear_weight_grad },
    attention: HEAD,
    attention_query_grad: HEAD,
    attention_key_value_grad: HEAD,
    ..Tuning::SMALL_CPU
};
const HEAD: HeadTile = HeadTile { tokens: 1, vec4s: 16, unroll: 1, sharing: Sharing::Direct };

impl SelfCheck {
    /// Checks an adapter.
    ///
    /// # Errors
    /// If the device was lost, or has no memory for a tiny model.
    pub async fn of(gpu: &Gpu) -> Result<SelfCheck> {
        let gpu = gpu.used_for("self-check");
        let of_tiles = |busy_workgroups| gpu.clone().with_tuning(Tuning { busy_workgroups, ..*gpu.tuning() });
        // What a driver does with sums does not depend on the size of a tile, and drivers that run on a CPU take long to compile large ones.
        // On a GPU chunks of another length have other tiles, so the smallest and the largest are compared.
        let gpus = match gpu.tuning().is_for_cpu() {
            true => [(); 3].map(|()| gpu.clone().with_tuning(QUICK)),
            false => [u32::MAX, gpu.tuning().busy_workgroups, 1].map(of_tiles),
        };
        let strategies = [Strategy::stream(64, 64), Strategy::stream(128, 128), Strategy::CHECKPOINT];
        SelfCheck::comparing(gpus.into_iter().zip(strategies).collect()).await
    }

    /// Compares strategies, each on a device of its own, with the first.
    #[doc(hidden)]
    pub async fn comparing(runs: Vec<(Gpu, Strategy)>) -> Result<SelfCheck> {
        let started = Instant::now();
        let (report, _) = run(runs).await?;
        let differing = report.parameters.into_iter().filter(|parameter| !parameter.same_bits);
        let different = differing.map(|parameter| parameter.name).collect();
        Ok(SelfCheck { same_bits: report.same_bits, different, seconds: started.elapsed().as_secs_f64() })
    }

    /// What a user should know, if gradients differ.
    pub fn warning(&self, adapter: &str) -> Option<String> {
        (!self.same_bits).then(|| {
            format!(
                "on {adapter} gradients differ in some bits between chunk lengths and strategies, because its driver reorders arithmetic: they \
                 are as accurate as ever, but not bit-identical"
            )
        })
    }
}

/// Loss and gradients of the tiny model with each strategy, on a device of its own: a report, and the gradients of the first.
async fn run(runs: Vec<(Gpu, Strategy)>) -> Result<(VerifyReport, Vec<Vec<f32>>)> {
    let spec = ModelSpec::from(&Config { vocab_size: VOCAB_SIZE, ..Config::llama(SIZES) });
    let ids: Vec<u32> = (0..TOKENS).map(|i| i * i % VOCAB_SIZE).collect();
    let labels = ids[1..].iter().copied().chain([IGNORED_LABEL]).collect();
    let batch = Batch::new(vec![(ids, labels)]);
    let plan = |(gpu, strategy): (Gpu, Strategy)| {
        let plan = Plan::new(Program::gradients(&spec, batch.shape.clone(), strategy), gpu.limits())?;
        Ok((gpu, plan))
    };
    let plans = runs.into_iter().map(plan).collect::<Result<_>>()?;
    verify_on(plans, &Weights::init(&spec, 1), &batch, |_, _| Ok(()), || None).await
}

/// A checksum of the gradients of a tiny model: adapters that round alike have the same.
///
/// # Errors
/// As [`SelfCheck::of`].
pub async fn rounding_checksum(gpu: &Gpu) -> Result<u32> {
    let gpu = gpu.used_for("self-check");
    let gpu = if gpu.tuning().is_for_cpu() { gpu.with_tuning(QUICK) } else { gpu };
    let (_, gradients) = run(vec![(gpu, Strategy::stream(64, 64))]).await?;
    let mut checksum = crc32fast::Hasher::new();
    gradients.iter().for_each(|gradient| checksum.update(bytemuck::cast_slice(gradient)));
    Ok(checksum.finalize())
}

/// The key under which what an adapter was found to do may be kept: the adapter, its driver, and the version of this crate.
pub fn adapter_key(gpu: &Gpu) -> String {
    let adapter = gpu.summary();
    format!("{} {} {} {}", adapter.name, adapter.backend, adapter.driver, env!("CARGO_PKG_VERSION"))
}
