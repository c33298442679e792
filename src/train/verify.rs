//! The proof: one batch, every strategy, several chunk lengths; are the gradients the same bits, and how far from f64?

use crate::error::Result;
use crate::gpu::{Executor, Gpu};
use crate::model::{Config, Weights};
use crate::reference;
use crate::step::update::metrics;
use crate::step::{Batch, Pass, Program, Strategy};

/// The outcome of the proof.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VerifyReport {
    /// Are all bits of all runs the same?
    pub same_bits: bool,
    /// Every run, the first of which is what the others are held against.
    pub runs: Vec<RunReport>,
    /// Every parameter.
    pub parameters: Vec<ParameterReport>,
}

/// One strategy with its chunk lengths.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunReport {
    /// The strategy.
    pub strategy: String,
    /// Tokens of a chunk.
    pub chunk: u32,
    /// Tokens of a chunk of logits.
    pub logits_chunk: u32,
    /// The loss.
    pub loss: f64,
    /// Bytes of the device's buffers.
    pub peak_bytes: u64,
    /// Are loss and all gradients the same bits as in the first run?
    pub same_bits: bool,
    /// Parameters whose gradient differs from the first run's.
    pub different: Vec<String>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ParameterReport {
    /// Its name.
    pub name: String,
    /// Is its gradient the same bits in all runs?
    pub same_bits: bool,
    /// ‖g − g₆₄‖ / ‖g₆₄‖, where f64 was computed.
    pub error: Option<f64>,
}

/// Runs every strategy on the device, and (if wanted) the first in f64 on the CPU. `progress` hears how many runs are done, of
/// how many.
///
/// # Errors
/// If the device cannot hold one of the plans, or is lost.
pub async fn verify(
    gpu: &Gpu,
    config: &Config,
    weights: &Weights,
    batch: &Batch,
    strategies: &[Strategy],
    with_reference: bool,
    progress: impl Fn(usize, usize),
) -> Result<VerifyReport> {
    let all = strategies.len() + usize::from(with_reference);
    let mut runs: Vec<(RunReport, Vec<Vec<f32>>)> = Vec::new();
    for &strategy in strategies {
        progress(runs.len(), all);
        let run = gradients(gpu, config, weights, batch, strategy).await?;
        runs.push(compare(run, runs.first(), config));
    }
    progress(strategies.len(), all);
    let reference = with_reference.then(|| reference_gradients(config, weights, batch, strategies[0]));
    let (_, first) = &runs[0];
    let parameters = crate::model::Parameters::new(config)
        .iter()
        .map(|(id, parameter)| ParameterReport {
            name: parameter.name.clone(),
            same_bits: runs.iter().all(|(run, _)| !run.different.contains(&parameter.name)),
            error: reference.as_ref().map(|r| relative_error(&first[id.0], &r[id.0])),
        })
        .collect();
    let runs: Vec<RunReport> = runs.into_iter().map(|(run, _)| run).collect();
    Ok(VerifyReport { same_bits: runs.iter().all(|run| run.same_bits), runs, parameters })
}

async fn gradients(gpu: &Gpu, config: &Config, weights: &Weights, batch: &Batch, strategy: Strategy) -> Result<(RunReport, Vec<Vec<f32>>)> {
    let mut executor = Executor::new(gpu, Program::gradients(config, batch.shape.clone(), strategy)).await?;
    executor.load_weights(weights);
    executor.load_batch(batch);
    executor.run(Pass::GRADIENTS).await?;
    let loss = f64::from(executor.metrics().await?[metrics::LOSS]);
    let mut gradients = Vec::new();
    for (id, _) in executor.program().parameters.iter() {
        gradients.push(executor.gradient(id).await?);
    }
    let tokens = batch.shape.tokens();
    let report = RunReport {
        strategy: strategy.kind.name().to_owned(),
        chunk: strategy.chunk(tokens),
        logits_chunk: strategy.logits_chunk(tokens),
        loss,
        peak_bytes: executor.created_bytes(),
        same_bits: true,
        different: Vec::new(),
    };
    Ok((report, gradients))
}

fn compare(run: (RunReport, Vec<Vec<f32>>), first: Option<&(RunReport, Vec<Vec<f32>>)>, config: &Config) -> (RunReport, Vec<Vec<f32>>) {
    let (mut report, gradients) = run;
    if let Some((first_report, first)) = first {
        fn bits(values: &[f32]) -> &[u32] {
            bytemuck::cast_slice(values)
        }
        let parameters = crate::model::Parameters::new(config);
        let differs = parameters.iter().filter(|(id, _)| bits(&gradients[id.0]) != bits(&first[id.0]));
        report.different = differs.map(|(_, p)| p.name.clone()).collect();
        report.same_bits = report.different.is_empty() && report.loss.to_bits() == first_report.loss.to_bits();
    }
    (report, gradients)
}

fn reference_gradients(config: &Config, weights: &Weights, batch: &Batch, strategy: Strategy) -> Vec<Vec<f64>> {
    let program = Program::gradients(config, batch.shape.clone(), strategy);
    let mut executor = reference::Executor::new(&program);
    executor.load_weights(weights);
    executor.load_batch(batch);
    executor.run(Pass::GRADIENTS);
    program.parameters.iter().map(|(id, _)| executor.gradient(id)).collect()
}

fn relative_error(values: &[f32], exact: &[f64]) -> f64 {
    let norm = exact.iter().map(|e| e * e).sum::<f64>().sqrt();
    let distance = values.iter().zip(exact).map(|(v, e)| (f64::from(*v) - e).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 { distance } else { distance / norm }
}
