use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use streambp::error::Result;
use streambp::gpu::Gpu;
use streambp::model::{ActivationDtype, Config, Parameters, Weights};
use streambp::step::{Batch, Objective, Program, SavedActivation, SavedActivations, Strategy, StrategyKind};
use streambp::train::run_file::{OWN, TASK_DISTANCE};
use streambp::train::{
    Dataset, OperationError, Task, VerifyReport, batch_of_objective, errors_by_operation, errors_in_f64, verify_on_ranks, with_reference,
};

use crate::options::{ModelOptions, ObjectiveOptions, Opened, SampleOptions, human_bytes, room_for_prompts};
use crate::output;
use crate::ranks::{RankOptions, Ranks};
use crate::session::{Session, plan_all};
use crate::text::DataOptions;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Data whose first batch is taken: a UTF-8 text file, rows of JSON as for `train`, `own` (this project's shaders), or for grpo also a
    /// generated task
    #[arg(long, default_value = OWN)]
    data: String,
    #[command(flatten)]
    text: DataOptions,
    /// Sequence length in tokens
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    seq_len: u32,
    /// Sequences per batch; pairs of them for dpo
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    #[command(flatten)]
    objective: ObjectiveOptions,
    #[command(flatten)]
    samples: SampleOptions,
    #[command(flatten)]
    ranks: RankOptions,
    /// Chunk lengths of stream, as 64,128 or 64 128 [default: 64, 128, 192, 448 and the whole batch]
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    chunks: Vec<u32>,
    /// Skip the comparison with f64, which is slow
    #[arg(long)]
    no_reference: bool,
    /// Also compute each kind of operation in turn on the device, all others in f64, to show what it contributes to the error
    #[arg(long, conflicts_with = "no_reference")]
    by_operation: bool,
    /// Seed of a preset's weights and of the batch
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Arguments {
    /// The data. A preset's vocabulary size is set to the tokenizer's.
    fn dataset(&self, config: &mut Config, objective: Objective) -> Result<Dataset> {
        let Arguments { data, text, seq_len, .. } = self;
        let dataset = match objective {
            Objective::Dpo(_) => text.pairs(data, &self.model, config, *seq_len)?.0,
            Objective::CrossEntropy if data == OWN => {
                text.refuse(data)?;
                Dataset::own(*seq_len)?
            }
            Objective::CrossEntropy => text.dataset(data, &self.model, config, *seq_len)?.0,
            Objective::Grpo(grpo) => {
                let longest = room_for_prompts(*seq_len, grpo.max_completion_length)?;
                match Task::named(data, TASK_DISTANCE) {
                    Some(task) => Dataset::task_prompts(task, longest)?,
                    None => text.prompts(data, &self.model, config, longest)?.0,
                }
            }
        };
        dataset.check_vocab(config)?;
        Ok(dataset)
    }
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    session.signals.listen("run")?;
    let objective = arguments.objective.objective(&arguments.samples)?;
    let mut base = arguments.model.base(arguments.seed).await?;
    let dataset = arguments.dataset(&mut base.config, objective)?;
    let Opened { spec, values } = arguments.model.adapt(base, arguments.seed).await?;
    let batch = batch_of_objective(&dataset, objective, arguments.seed, 0, arguments.batch);
    let shape = batch.planned_shape();
    let strategies = strategies(&arguments.chunks, shape.tokens());
    // On several ranks the first run is still on one, with which the others are compared.
    let split = session.ranks.split(&spec, shape.clone(), 1, &arguments.ranks)?;
    let shapes = std::iter::once(shape.clone()).chain(std::iter::repeat(split));
    let programs = strategies.iter().zip(shapes).map(|(&strategy, shape)| Program::gradients_for(objective, &spec, shape, strategy));
    let gpu = session.open().await?;
    let plans = plan_all(programs, gpu.limits())?;
    let gpu = session.tune(gpu, &spec).await?;
    session.ranks.check_adapters(&gpu, &arguments.ranks).await?;
    let batch = with_reference(&gpu, objective, &spec, &values, batch).await?;
    let bar = ProgressBar::no_length();
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        session.signals.check()
    };
    let (mut report, gradients) = verify_on_ranks(&gpu, plans, &values, &batch, progress, || session.ranks.transport()).await?;
    if !session.ranks.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.no_reference {
        let weights = Weights::read(&values, Parameters::new(&spec).iter().map(|(_, parameter)| parameter)).await?;
        if arguments.by_operation {
            report.set_errors_by_operation(errors_by_operation(&gpu, objective, &spec, &weights, &batch, progress).await?);
        }
        // By operation, nothing is rounded but to f32.
        if !arguments.by_operation || spec.activation_dtype != ActivationDtype::F32 {
            report.set_errors(&errors_in_f64(objective, &spec, &weights, &batch, &gradients));
        }
    }
    bar.finish_and_clear();
    match session.json {
        true => output::json(&report)?,
        false => print_report(&report, &place(&gpu, session.ranks))?,
    }
    Ok(if report.same_bits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where it ran.
fn place(gpu: &Gpu, ranks: &Ranks) -> String {
    match ranks.count() {
        1 => gpu.name().to_owned(),
        count => format!("{} on {count} ranks, the first run on one", gpu.name()),
    }
}

/// A batch of the text of this project's shaders.
pub fn own_batch(seq_len: u32, sequences: u32, seed: u64, config: &Config) -> Result<Batch> {
    let dataset = Dataset::own(seq_len)?;
    dataset.check_vocab(config)?;
    Ok(dataset.batch(seed, 0, sequences))
}

fn strategies(chunks: &[u32], tokens: u32) -> Vec<Strategy> {
    let chunks = if chunks.is_empty() { vec![64, 128, 192, 448, tokens] } else { chunks.to_vec() };
    let stream = chunks.iter().flat_map(|&chunk| [Strategy::stream(chunk, chunk), Strategy::stream(chunk, 64)]);
    let saved = SavedActivations::NONE.with(SavedActivation::Attention, u32::MAX).with(SavedActivation::GateUp, 1);
    let between = [Strategy::CHECKPOINT, Strategy::stream(128, 64).offloading(true)].map(|strategy| strategy.saving(saved));
    let adaptive = [Strategy::stream(64, 64), Strategy::stream(128, 64).saving(saved)].map(|strategy| strategy.with_adaptive_chunks(true));
    let grouped = [Strategy::stream(64, 64).with_layer_group(2), Strategy::stream(128, 64).with_layer_group(u32::MAX).saving(saved)];
    let plain = [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter();
    let mut strategies: Vec<Strategy> = plain.chain(stream).chain(between).chain(adaptive).chain(grouped).collect();
    strategies.dedup();
    strategies
}

fn print_report(report: &VerifyReport, adapter: &str) -> Result<()> {
    output::line(format_args!("{adapter}"))?;
    for run in &report.runs {
        let verdict = if run.same_bits { "same bits".to_owned() } else { format!("DIFFERS in {}", run.different.join(", ")) };
        let is_between = !run.saved_activations.is_empty() && run.strategy != StrategyKind::Standard.name();
        let saves = if is_between { format!(", saves {}", run.saved_activations) } else { String::new() };
        let adaptive = if run.adaptive_chunks { ", adaptive chunks" } else { "" };
        let groups = if run.layer_group > 1 { format!(", groups of {} layers", run.layer_group) } else { String::new() };
        output::line(format_args!(
            "{:10} chunk {:6} logits chunk {:6} loss {:.6} peak {:>12}  {verdict}{saves}{adaptive}{groups}",
            run.strategy,
            run.chunk,
            run.logits_chunk,
            run.loss,
            human_bytes(run.peak_bytes)
        ))?;
    }
    output::line("")?;
    for parameter in &report.parameters {
        let verdict = if parameter.same_bits { "same bits" } else { "DIFFERS" };
        let error = parameter.error.map_or(String::new(), |e| format!("{e:.1e} from f64"));
        output::line(format_args!("{:50} {verdict}  {error}", parameter.name))?;
    }
    if !report.by_operation.is_empty() {
        print_by_operation(&report.by_operation)?;
    }
    Ok(())
}

fn print_by_operation(rows: &[OperationError]) -> Result<()> {
    output::line("\nerror of the gradients with one kind of operation in f32 and all others in f64:")?;
    output::line(format_args!("{:24} {:19}  rounded to f32 only", "", "on the device"))?;
    let [worst, median] = ["worst", "median"];
    output::line(format_args!("{:24} {worst:>9} {median:>9}  {worst:>9} {median:>9}  worst parameter on the device", "operation"))?;
    for OperationError { operation, on_device, rounded } in rows {
        let errors = [on_device.worst, on_device.median, rounded.worst, rounded.median];
        let [worst, median, least_worst, least_median] =
            errors.map(|error| if error == 0.0 { "0".to_owned() } else { format!("{error:.1e}") });
        let parameter = if on_device.worst == 0.0 { "" } else { &on_device.worst_parameter };
        output::line(format_args!("{operation:24} {worst:>9} {median:>9}  {least_worst:>9} {least_median:>9}  {parameter}"))?;
    }
    Ok(())
}
