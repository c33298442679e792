//! A run as a command line of the program.

use crate::error::Result;
use crate::model::{ActivationDtype, BINDING_BYTES, Lora, PRESETS, Projection, Training};
use crate::step::{DpoSettings, GrpoSettings, Objective, Strategy, StrategyKind};
use crate::train::run_file::{TASK_DISTANCE, VALIDATION_INTERVAL, parts};
use crate::train::{ChunkLength, RewardKind, RewardSettings, RollOutSettings, Settings};
use crate::web::form::{Adapter, Form, SourceChoice, rewards};
use crate::web::model_protocol::Vocabulary;
use crate::web::protocol::{Data, GivenText, Run, Start};

/// What stands for the directory of adapters, whose name a browser does not tell.
const ADAPTERS: &str = "ADAPTERS";

/// A command line, and what it needs beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The line, quoted for a POSIX shell.
    pub line: String,
    /// Files that have to lie where it names them.
    pub needs: Vec<Need>,
}

/// A file or a directory that a command needs, by its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The visitor's text.
    Text(String),
    /// The model's directory.
    Model(String),
    /// The directory of the adapters that are open.
    Adapters(String),
}

impl Form {
    /// The command that starts the run of the form. Options have their long names, and those that are as the program has them without are
    /// left out.
    ///
    /// # Errors
    /// As [`Form::run`].
    pub fn command(&self, text: Option<GivenText>, start: Start) -> Result<Command> {
        // The program chooses for its own adapter.
        let (run, chunks) = (self.run(text, start, &Adapter::default())?, self.chunks()?);
        let opens_adapters = matches!(run.start, Start::Opened { has_adapters: true, .. }) && run.spec.adapters().is_some();
        let text = match &run.data {
            Data::Text(given) => Some(file_name(&given.name)),
            _ => None,
        };
        let arguments = arguments(&run, chunks, text.as_deref().unwrap_or_default(), opens_adapters);
        let words = arguments.iter().flat_map(|argument| match parts(argument) {
            // Otherwise it would be taken for an option.
            (name, Some(value)) if !value.starts_with('-') => vec![format!("--{name}"), quoted(value)],
            _ => vec![quoted(argument)],
        });
        let line = ["streambp".to_owned(), "train".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ");
        let model = run.start.origin().map(|origin| Need::Model(origin.name().to_owned()));
        let adapters = opens_adapters.then(|| Need::Adapters(ADAPTERS.to_owned()));
        Ok(Command { line, needs: text.map(Need::Text).into_iter().chain(model).chain(adapters).collect() })
    }
}

/// The arguments of `streambp train` for a run, as `--name=value`. `chunks` are C and C' as they are asked for, `text` is the path of its
/// text, and new adapters are described unless those that are open are meant.
pub fn arguments(run: &Run, chunks: [ChunkLength; 2], text: &str, opens_adapters: bool) -> Vec<String> {
    let model = model(run);
    let mut options = vec![option("model", &model)];
    options.extend(data(run, text));
    options.extend(vocabulary(run, &model));
    options.extend(of_objective(&run.settings));
    options.extend(match &run.spec.training {
        Training::Lora { frozen, .. } if opens_adapters => vec![option("lora", ADAPTERS), option("frozen", frozen.name())],
        Training::Lora { lora, frozen } => [adapters(lora), vec![option("frozen", frozen.name())]].concat(),
        Training::Full => Vec::new(),
    });
    options.extend(unless(ActivationDtype::F32.name(), "activation-dtype", run.spec.activation_dtype.name()));
    options.extend(optimizer(&run.settings));
    options.extend(strategy(run.settings.strategy, chunks));
    options.push(option("budget", bytes(run.budget)));
    if run.validate_every != VALIDATION_INTERVAL {
        options.push(option("val-every", run.validate_every));
    }
    options
}

/// The name of a text as a file: the last part of its path or address.
pub fn file_name(name: &str) -> String {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().map(|c| if c.is_control() || ":*\"<>|".contains(c) { '_' } else { c }).collect();
    let plain = plain.trim().trim_start_matches('.');
    if plain.is_empty() { "text.txt".to_owned() } else { plain.to_owned() }
}

fn option(name: &str, value: impl ToString) -> String {
    format!("--{name}={}", value.to_string())
}

/// The option, if its value is another than the one without it.
fn unless<T: PartialEq + ToString>(default: T, name: &str, value: T) -> Option<String> {
    (value != default).then(|| option(name, value))
}

/// The model in files by its name, a preset, or the sizes themselves.
fn model(run: &Run) -> String {
    if let Some(origin) = run.start.origin() {
        return origin.name().to_owned();
    }
    let preset = PRESETS.iter().find(|preset| preset.config == run.spec.config);
    // The program would give a preset as many tokens as the vocabulary that is learned has.
    let preset = preset.filter(|_| run.vocabulary != Vocabulary::Learned || run.data.is_generated());
    preset.map_or_else(|| run.spec.config.to_json().lines().map(str::trim).collect(), |preset| preset.name.to_owned())
}

fn data(run: &Run, text: &str) -> Vec<String> {
    match &run.data {
        Data::OwnSource => vec![option("data", "own")],
        Data::Stories(language) => vec![option("data", SourceChoice::Stories(*language).name())],
        Data::Preferences(language) => vec![option("data", SourceChoice::Preferences(*language).name())],
        Data::Text(_) => vec![option("data", text)],
        Data::Task(task, distance) => {
            [Some(option("data", task.name())), unless(TASK_DISTANCE, "distance", *distance)].into_iter().flatten().collect()
        }
    }
}

/// How text becomes tokens. Without an option the program takes the tokenizer of the model in files, and bytes for the project's source.
fn vocabulary(run: &Run, model: &str) -> Option<String> {
    let is_in_files = run.start.origin().is_some();
    match (run.vocabulary, &run.data) {
        (_, data) if data.is_generated() => None,
        (Vocabulary::Learned, _) => Some(option("train-tokenizer", run.spec.config.vocab_size)),
        (Vocabulary::Bytes, Data::Text(_)) if is_in_files => Some(option("tokenizer", "bytes")),
        (Vocabulary::Model, Data::OwnSource) => Some(option("tokenizer", model)),
        _ => None,
    }
}

fn of_objective(settings: &Settings) -> Vec<String> {
    match (settings.objective, &settings.roll_outs) {
        (Objective::Dpo(dpo), _) => of_pairs(dpo),
        (Objective::Grpo(grpo), Some(roll_outs)) => [of_completions(grpo), of_roll_outs(roll_outs)].concat(),
        _ => Vec::new(),
    }
}

fn of_completions(settings: GrpoSettings) -> Vec<String> {
    // Whether there are log-probabilities of before follows from the number of iterations.
    #[rustfmt::skip]
    let GrpoSettings {
        beta, epsilon, epsilon_high, loss_type, importance_sampling_level, temperature, max_completion_length, use_bias_correction_kl,
        has_old_log_probs: _, num_generations,
    } = settings;
    let default = GrpoSettings::default();
    let level = importance_sampling_level;
    let options = [
        Some(option("objective", "grpo")),
        unless(default.beta, "beta", beta),
        (loss_type != default.loss_type).then(|| option("loss-type", loss_type.name())),
        unless(default.epsilon, "epsilon", epsilon),
        unless(epsilon, "epsilon-high", epsilon_high),
        (level != default.importance_sampling_level).then(|| option("importance-sampling-level", level.name())),
        unless(default.temperature, "temperature", temperature),
        unless(default.max_completion_length, "max-completion-length", max_completion_length),
        use_bias_correction_kl.then(|| "--use-bias-correction-kl".to_owned()),
        unless(rewards::first_samples().0.num_generations, "num-generations", num_generations),
    ];
    options.into_iter().flatten().collect()
}

fn of_roll_outs(settings: &RollOutSettings) -> Vec<String> {
    // All fields are named, so that whoever adds one has to say how the program is told.
    #[rustfmt::skip]
    let RollOutSettings {
        num_iterations, scale_rewards, mask_truncated_completions, top_k, top_p, rewards, sft_steps, sft_learning_rate, stop,
    } = settings;
    let default = RollOutSettings::default();
    let options = [
        unless(default.num_iterations, "num-iterations", *num_iterations),
        (*scale_rewards != default.scale_rewards).then(|| option("scale-rewards", scale_rewards.name())),
        mask_truncated_completions.then(|| "--mask-truncated-completions".to_owned()),
        unless(default.top_k, "top-k", *top_k),
        unless(default.top_p, "top-p", *top_p),
        unless(default.sft_steps, "sft-steps", *sft_steps),
        sft_learning_rate.map(|rate| option("sft-lr", rate)),
    ];
    let stop = stop.iter().map(|text| option("stop", text));
    options.into_iter().flatten().chain(stop).chain(of_rewards(rewards)).collect()
}

/// Generated data is compared with its answers, unless something else is said.
fn of_rewards(rewards: &[RewardSettings]) -> Vec<String> {
    if rewards == [RewardSettings { kind: RewardKind::Answer, weight: 1.0 }] {
        return Vec::new();
    }
    let names = rewards.iter().filter_map(|reward| rewards::name(&reward.kind)).map(|name| option("rewards", name));
    let weights = rewards.iter().map(|reward| reward.weight.to_string()).collect::<Vec<String>>().join(",");
    let is_weighted = rewards.iter().any(|reward| reward.weight != 1.0);
    names.chain(is_weighted.then(|| option("reward-weights", weights))).collect()
}

fn of_pairs(DpoSettings { beta, loss_type, label_smoothing }: DpoSettings) -> Vec<String> {
    let default = DpoSettings::default();
    let options = [
        Some(option("objective", "dpo")),
        unless(default.beta, "beta", beta),
        (loss_type != default.loss_type).then(|| option("loss-type", loss_type.name())),
        unless(default.label_smoothing, "label-smoothing", label_smoothing),
    ];
    options.into_iter().flatten().collect()
}

fn adapters(lora: &Lora) -> Vec<String> {
    let targets: Vec<&str> = lora.targets.iter().map(|target| target.name()).collect();
    let options = [
        Some(option("lora-rank", lora.rank)),
        unless(2.0 * f64::from(lora.rank), "lora-alpha", lora.alpha),
        (lora.targets != Projection::ALL).then(|| option("lora-targets", targets.join(","))),
        lora.layers.as_ref().map(|layers| option("lora-layers", layers)),
        lora.use_rslora.then(|| "--use-rslora".to_owned()),
    ];
    options.into_iter().flatten().collect()
}

fn optimizer(settings: &Settings) -> Vec<String> {
    // All fields are named, so that whoever adds one has to say how the program is told.
    #[rustfmt::skip]
    let Settings {
        seq_len, batch, accumulate, strategy: _, learning_rate, min_learning_rate, warmup, steps, weight_decay, max_grad_norm,
        beta1, beta2, adam_epsilon, seed,
        // They stand by themselves.
        objective, roll_outs: _,
    } = settings;
    let default = Settings::default();
    // Without the option the program takes as many as a group has.
    let names_batch = matches!(objective, Objective::Grpo(_)) || *batch != 1;
    let options = [
        Some(option("seq-len", seq_len)),
        Some(option("steps", steps)),
        names_batch.then(|| option("batch", batch)),
        unless(1, "accumulate", *accumulate),
        unless(default.learning_rate, "lr", *learning_rate),
        unless(learning_rate / 10.0, "min-lr", *min_learning_rate),
        unless(default.warmup, "warmup", *warmup),
        unless(default.weight_decay, "weight-decay", *weight_decay),
        unless(default.max_grad_norm, "clip", *max_grad_norm),
        unless(default.beta1, "beta1", *beta1),
        unless(default.beta2, "beta2", *beta2),
        unless(default.adam_epsilon, "adam-epsilon", *adam_epsilon),
        unless(0, "seed", *seed),
    ];
    options.into_iter().flatten().collect()
}

/// The strategy by its name, too: with a budget and no strategy the program would choose one.
fn strategy(strategy: Strategy, [chunk, logits_chunk]: [ChunkLength; 2]) -> Vec<String> {
    let (is_stream, saved) = (strategy.kind == StrategyKind::Stream, strategy.saved_activations().to_string());
    let logits_bytes = strategy.logits_bytes().filter(|_| is_stream);
    let options = [
        Some(option("strategy", strategy.kind)),
        unless(ChunkLength::Auto, "chunk", chunk).filter(|_| is_stream),
        unless(ChunkLength::Auto, "logits-chunk", logits_chunk).filter(|_| is_stream && logits_chunk != chunk),
        logits_bytes.and_then(|bytes| unless(BINDING_BYTES, "logits-bytes", bytes)),
        (strategy.kind != StrategyKind::Standard && !saved.is_empty()).then(|| option("save-activations", saved)),
        strategy.offloads().then(|| "--offload".to_owned()),
        (is_stream && !strategy.has_adaptive_chunks()).then(|| "--fixed-chunks".to_owned()),
        unless(1, "layer-group", strategy.layer_group(u32::MAX)),
    ];
    options.into_iter().flatten().collect()
}

/// A size as the program reads it, to the byte.
fn bytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{}MiB", bytes >> 20) } else { bytes.to_string() }
}

/// A word of a POSIX shell's command.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,:/=+@%".contains(c));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::form::{Field, SourceChoice};
    use crate::web::model_protocol::Origin;
    use crate::web::protocol::TaskKind;

    fn line(form: &Form) -> String {
        form.command(None, Start::Seed).unwrap().line
    }

    #[test]
    fn what_is_as_without_an_option_is_left_out() {
        let mut form = Form::default();
        form.set(Field::ValidateEvery, VALIDATION_INTERVAL);
        // A tenth of 0.003 is not 0.0003 to the bit.
        let options =
            "--model tiny --data stories --seq-len 512 --steps 1000 --min-lr 0.0003 --strategy stream --fixed-chunks --budget 64MiB";
        assert_eq!(line(&form), format!("streambp train {options}"));
        form.source = SourceChoice::Task(TaskKind::Copy);
        assert!(line(&form).contains("--data copy --distance 128 "), "{}", line(&form));
        form.set(Field::VocabSize, 300);
        assert!(line(&form).contains("--model '{\"architectures\": "), "{}", line(&form));
    }

    #[test]
    fn what_is_in_files_is_named_and_needed() {
        let mut form = Form { source: SourceChoice::Text, has_adapters: true, ..Form::default() };
        form.vocabulary = Vocabulary::Model;
        let text = GivenText { name: "it's mine.txt".to_owned(), size: 9, written: 1, may_be_rows: false };
        let start = Start::Opened { origin: Origin::Chosen("a model".to_owned()), fingerprint: 1, has_adapters: true };
        let Command { line, needs } = form.command(Some(text), start).unwrap();
        assert!(line.starts_with(r"streambp train --model 'a model' --data 'it'\''s mine.txt' --lora ADAPTERS --frozen bf16 "), "{line}");
        let named = [Need::Text("it's mine.txt".to_owned()), Need::Model("a model".to_owned()), Need::Adapters(ADAPTERS.to_owned())];
        assert_eq!(needs, named);
    }

    #[test]
    fn a_text_has_a_name_that_every_system_takes() {
        let names = ["https://host/talks.jsonl?download=true", "C:\\a\\b.txt", "a:b\n?.txt", "", "..", "소설.txt"].map(file_name);
        assert_eq!(names, ["talks.jsonl", "b.txt", "a_b_", "text.txt", "text.txt", "소설.txt"]);
    }
}
