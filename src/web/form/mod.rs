//! What the visitor has set: texts as typed, and what they mean. The page's link carries the same.

mod command;
mod controls;
mod objective;
mod rewards;
mod url_query;

pub use command::{Command, Need, arguments, file_name};
pub use controls::{Field, Group, ObjectiveChoice, SourceChoice};

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::gpu::{DeviceClass, DeviceSpeed};
use crate::model::{ActivationDtype, Config, Dtype, Layers, Lora, ModelSpec, PRESETS, Preset, Projection, Rope, Training};
use crate::step::{
    BatchShape, DpoLossType, DpoSettings, GrpoLossType, GrpoSettings, Limits, Objective, SavedActivation, SavedActivations, Strategy,
    StrategyKind, TOKEN_TILE,
};
use crate::train::{AutoChunk, ChunkLength, Language, RollOutSettings, Settings, auto_chunk};
use crate::web::model_protocol::Vocabulary;
use crate::web::protocol::{Data, GivenText, Run, Start};

/// Every control, as it was left.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Where the text comes from.
    pub source: SourceChoice,
    /// How text becomes tokens.
    pub vocabulary: Vocabulary,
    /// What a step minimises.
    pub objective: ObjectiveChoice,
    /// The loss of a pair, if it compares these.
    pub loss_type: DpoLossType,
    /// What the loss of completions is a mean over, if it learns from these.
    pub grpo_loss_type: GrpoLossType,
    /// The preset whose sizes were taken; empty if there is none.
    pub preset: String,
    /// How the step is walked.
    pub strategy: StrategyKind,
    /// What it keeps of layers beside their inputs.
    pub saved_activations: SavedActivations,
    /// Do the inputs of layers wait on the host?
    pub offload: bool,
    /// Are chunks longer where that costs no memory?
    pub adaptive_chunks: bool,
    /// How activations lie.
    pub activation_dtype: ActivationDtype,
    /// Is one matrix embedding and head?
    pub tied: bool,
    /// Do adapters learn, and nothing else?
    pub has_adapters: bool,
    /// The matrices that have adapters.
    pub targets: Vec<Projection>,
    /// Is their share divided by the root of the rank?
    pub use_rslora: bool,
    /// How frozen matrices lie.
    pub frozen: Dtype,
    /// The model whose sizes were taken last: what no field shows is as in it.
    model: Config,
    /// How completions were learned from in the run whose settings were taken last: what no field shows is as there.
    samples: (GrpoSettings, RollOutSettings),
    values: Vec<String>,
}

/// What decides about memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the step minimises.
    pub objective: Objective,
    /// The model, and what of it learns.
    pub spec: ModelSpec,
    /// The batch.
    pub shape: BatchShape,
    /// How the step is walked.
    pub strategy: Strategy,
    /// C and C', also for the strategies that were not chosen.
    pub chunks: [u32; 2],
    /// The choice of `auto`, if the chunk length is that.
    pub auto: Option<AutoChunk>,
}

impl Plan {
    /// The same for sequences that are no longer than that.
    pub fn with_longest(&self, longest: u32) -> Plan {
        let shape = BatchShape::uniform(self.shape.lengths().len() as u32, self.shape.longest().min(longest.max(1)));
        Plan { shape, ..self.clone() }
    }
}

/// What is known of the adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adapter {
    /// What it can bind.
    pub limits: Limits,
    /// How fast it is.
    pub speed: DeviceSpeed,
}

impl Default for Adapter {
    /// Nothing: any memory, and the speed of a laptop's GPU.
    fn default() -> Self {
        Adapter { limits: Limits::NONE, speed: DeviceClass::TYPICAL.speed() }
    }
}

const MIB: f64 = 1_048_576.0;

impl Default for Form {
    fn default() -> Self {
        let preset = &PRESETS[0];
        let mut form = Form {
            source: SourceChoice::Stories(Language::English),
            vocabulary: Vocabulary::Bytes,
            objective: ObjectiveChoice::Sft,
            loss_type: DpoSettings::default().loss_type,
            grpo_loss_type: GrpoSettings::default().loss_type,
            preset: preset.name.to_owned(),
            strategy: StrategyKind::Stream,
            saved_activations: SavedActivations::NONE,
            offload: false,
            adaptive_chunks: false,
            activation_dtype: ActivationDtype::F32,
            tied: true,
            has_adapters: false,
            targets: Projection::ALL.to_vec(),
            use_rslora: false,
            frozen: Dtype::Bf16,
            model: preset.config.clone(),
            samples: rewards::first_samples(),
            values: vec![String::new(); Field::ALL.len()],
        };
        form.set_settings(&Settings::default());
        let (grpo, roll_outs) = rewards::first_samples();
        form.set_grpo(&grpo, &roll_outs);
        form.set_dpo(&DpoSettings::default());
        form.set_config(&preset.config);
        let fixed = [(Field::Distance, "128"), (Field::Chunk, "auto"), (Field::LogitsChunk, "auto"), (Field::ValidateEvery, "10")];
        let more = [
            (Field::LayerGroup, "1"),
            (Field::SampleEvery, "20"),
            (Field::Prompt, form.source.prompt()),
            (Field::Budget, "64"),
            (Field::Rank, "8"),
            (Field::Alpha, "16"),
        ];
        fixed.into_iter().chain(more).for_each(|(field, value)| form.set(field, value));
        form
    }
}

impl Form {
    /// A field, as it was typed.
    pub fn get(&self, field: Field) -> &str {
        &self.values[field as usize]
    }

    /// Types into a field.
    pub fn set(&mut self, field: Field, value: impl ToString) {
        self.values[field as usize] = value.to_string();
    }

    /// Learns from something else. Samples begin as it does, unless the visitor has said how.
    pub fn set_source(&mut self, source: SourceChoice) {
        if self.get(Field::Prompt) == self.source.prompt() {
            self.set(Field::Prompt, source.prompt());
        }
        self.source = source;
    }

    /// Takes a preset's sizes.
    pub fn take_preset(&mut self, preset: &Preset) {
        preset.name.clone_into(&mut self.preset);
        self.set_config(&preset.config);
    }

    /// Takes a model in files, for its adapters to learn.
    pub fn take_model(&mut self, config: &Config, has_tokenizer: bool) {
        self.vocabulary = if has_tokenizer { Vocabulary::Model } else { Vocabulary::Bytes };
        // The tokens of stories are bytes, which are not those of the model.
        match self.source {
            SourceChoice::Stories(_) => self.set_source(SourceChoice::OwnSource),
            SourceChoice::Preferences(_) if has_tokenizer => self.set_source(SourceChoice::Text),
            _ => {}
        }
        self.preset = String::new();
        self.set_config(config);
        self.has_adapters = true;
        // A model that knows something already is to learn in small steps.
        [(Field::LearningRate, "0.0002"), (Field::MinLearningRate, "0.00002"), (Field::WeightDecay, "0")]
            .into_iter()
            .for_each(|(field, value)| self.set(field, value));
    }

    /// Takes the settings of adapters.
    pub fn take_adapters(&mut self, lora: &Lora) {
        self.has_adapters = true;
        self.set(Field::Rank, lora.rank);
        self.set(Field::Alpha, lora.alpha);
        self.set(Field::AdaptedLayers, lora.layers.as_ref().map(Layers::to_string).unwrap_or_default());
        (self.use_rslora, self.targets) = (lora.use_rslora, lora.targets.clone());
    }

    /// Gives a matrix adapters, or takes them away.
    pub fn toggle_target(&mut self, target: Projection) {
        match self.targets.iter().position(|&known| known == target) {
            Some(at) => drop(self.targets.remove(at)),
            None => self.targets.push(target),
        }
        self.targets.sort_unstable();
    }

    /// Chooses how text becomes tokens, by the name of that. A vocabulary that is learned needs room for more than bytes.
    pub fn set_vocabulary(&mut self, name: &str) {
        self.vocabulary = Vocabulary::named(name).unwrap_or(self.vocabulary);
        if self.vocabulary == Vocabulary::Learned && self.get(Field::VocabSize) == "256" {
            self.set(Field::VocabSize, 1024);
            self.preset = String::new();
        }
    }

    /// Chooses how frozen matrices lie, by the name of that.
    pub fn set_frozen(&mut self, name: &str) {
        self.frozen = Dtype::named(name).unwrap_or(self.frozen);
    }

    /// Chooses how activations lie, by the name of that.
    pub fn set_activation_dtype(&mut self, name: &str) {
        self.activation_dtype = ActivationDtype::named(name).unwrap_or(self.activation_dtype);
    }

    /// The form of a run.
    pub fn of_run(run: &Run) -> Form {
        let mut form = Form { vocabulary: run.vocabulary, ..Form::default() };
        form.source = match &run.data {
            Data::OwnSource => SourceChoice::OwnSource,
            Data::Stories(language) => SourceChoice::Stories(*language),
            Data::Preferences(language) => SourceChoice::Preferences(*language),
            Data::Text(_) => SourceChoice::Text,
            Data::Task(kind, distance) => {
                form.set(Field::Distance, distance);
                SourceChoice::Task(*kind)
            }
        };
        form.set_config(&run.spec.config);
        let preset = PRESETS.iter().find(|preset| preset.config == run.spec.config);
        preset.map_or("", |preset| preset.name).clone_into(&mut form.preset);
        if let Training::Lora { lora, frozen } = &run.spec.training {
            form.take_adapters(lora);
            form.frozen = *frozen;
        }
        form.activation_dtype = run.spec.activation_dtype;
        form.set_settings(&run.settings);
        form.take_objective(&run.settings);
        form.set_strategy(run.settings.strategy);
        form.set(Field::ValidateEvery, run.validate_every);
        form.set(Field::SampleEvery, run.sample_every);
        form.set(Field::Prompt, &run.prompt);
        form.set(Field::Budget, run.budget as f64 / MIB);
        form.set_chunks(run.chunks);
        form
    }

    /// Takes a model's sizes.
    pub fn set_config(&mut self, config: &Config) {
        let sizes = [
            (Field::HiddenSize, config.hidden_size),
            (Field::IntermediateSize, config.intermediate_size),
            (Field::Layers, config.num_hidden_layers),
            (Field::Heads, config.num_attention_heads),
            (Field::KeyValueHeads, config.num_key_value_heads),
            (Field::HeadDim, config.head_dim),
            (Field::VocabSize, config.vocab_size),
        ];
        sizes.into_iter().for_each(|(field, size)| self.set(field, size));
        self.set(Field::RopeTheta, config.rope.theta);
        self.tied = config.tie_word_embeddings;
        self.model = config.clone();
    }

    /// Takes a strategy; chunk lengths are left as they are where it has none.
    pub fn set_strategy(&mut self, strategy: Strategy) {
        self.strategy = strategy.kind;
        self.offload = strategy.offloads();
        self.adaptive_chunks = strategy.has_adaptive_chunks();
        self.saved_activations =
            if strategy.kind == StrategyKind::Standard { SavedActivations::NONE } else { strategy.saved_activations() };
        if strategy.kind == StrategyKind::Stream {
            self.set_chunks([strategy.chunk(u32::MAX), strategy.logits_chunk(u32::MAX)]);
            self.set(Field::LayerGroup, strategy.layer_group(u32::MAX));
        }
    }

    /// Sets C and C', which is left to be as in the layers if it is.
    fn set_chunks(&mut self, [chunk, logits_chunk]: [u32; 2]) {
        self.set(Field::Chunk, chunk);
        self.set(Field::LogitsChunk, if logits_chunk == chunk { ChunkLength::Auto } else { ChunkLength::Tokens(logits_chunk) });
    }

    /// The layers of the model, as far as what was typed makes sense.
    pub fn layers(&self) -> u32 {
        self.positive(Field::Layers).unwrap_or(1)
    }

    /// In how many layers something is kept beside their inputs.
    pub fn saved_layers(&self, keep: SavedActivation) -> u32 {
        self.saved_activations.layers(keep).min(self.layers())
    }

    /// Keeps something in so many of the last layers; in all of them, however many there will be, if it is in all that there are.
    pub fn save_in(&mut self, keep: SavedActivation, layers: u32) {
        let layers = if layers >= self.layers() { u32::MAX } else { layers };
        self.saved_activations = self.saved_activations.with(keep, layers);
    }

    fn set_settings(&mut self, s: &Settings) {
        let whole = [(Field::SeqLen, s.seq_len), (Field::Batch, s.batch), (Field::Accumulate, s.accumulate)];
        whole.into_iter().for_each(|(field, value)| self.set(field, value));
        let long = [(Field::Warmup, s.warmup), (Field::Steps, s.steps), (Field::Seed, s.seed)];
        long.into_iter().for_each(|(field, value)| self.set(field, value));
        let reals = [
            (Field::LearningRate, s.learning_rate),
            (Field::MinLearningRate, s.min_learning_rate),
            (Field::WeightDecay, s.weight_decay),
            (Field::MaxGradNorm, s.max_grad_norm),
            (Field::Beta1, s.beta1),
            (Field::Beta2, s.beta2),
            (Field::Epsilon, s.adam_epsilon),
        ];
        reals.into_iter().for_each(|(field, value)| self.set(field, value));
    }

    /// What decides about memory. If the chunk length is `auto`, the adapter decides with.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense.
    pub fn plan(&self, adapter: &Adapter) -> Result<Plan> {
        let (objective, spec) = (self.objective()?, self.spec()?);
        let sequences = self.positive(Field::Batch)?.saturating_mul(objective.sequences());
        let shape = BatchShape::uniform(sequences, self.positive(Field::SeqLen)?);
        let [chunk, logits_chunk] = self.chunks()?;
        let both = |chunk: u32| [chunk, logits_chunk.or(chunk)];
        let group = self.positive(Field::LayerGroup)?;
        let stream = |chunk: u32| self.strategy(StrategyKind::Stream, both(chunk)).with_layer_group(group);
        let choose = || auto_chunk(objective, &spec, &shape, stream, self.budget().unwrap_or(u64::MAX), adapter.limits, &adapter.speed);
        let (chunk, auto) = chunk.resolve(choose);
        let chunks = both(chunk);
        let strategy = self.strategy(self.strategy, chunks).with_layer_group(group);
        // There is no step of settings that make no sense.
        self.settings(strategy)?;
        Ok(Plan { objective, spec, shape, strategy, chunks, auto })
    }

    /// C and C' as they are asked for.
    ///
    /// # Errors
    /// A sentence about the one that makes no sense.
    pub fn chunks(&self) -> Result<[ChunkLength; 2]> {
        Ok([self.chunk(Field::Chunk)?, self.chunk(Field::LogitsChunk)?])
    }

    fn chunk(&self, field: Field) -> Result<ChunkLength> {
        let typed = self.get(field);
        typed.trim().parse().map_err(|_| Error::Setting(format!("the {} is \"{typed}\"; it must be 1 or more, or auto", words(field))))
    }

    /// Bytes that the visitor allows.
    ///
    /// # Errors
    /// A sentence about the budget, if it makes no sense.
    pub fn budget(&self) -> Result<u64> {
        let mebibytes = self.number(Field::Budget)?;
        if mebibytes > 0.0 { Ok((mebibytes * MIB) as u64) } else { Err(Error::Setting("the budget must be more than 0 MiB".to_owned())) }
    }

    /// Sets the bytes that the visitor allows, to three digits.
    pub fn set_budget(&mut self, bytes: f64) {
        let mebibytes = bytes / MIB;
        let digits = (2 - mebibytes.max(1e-3).log10().floor() as i32).clamp(0, 6) as usize;
        self.set(Field::Budget, format!("{mebibytes:.digits$}"));
    }

    /// Everything that makes a run. `text` is what the visitor gave.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense, or that a text is missing.
    pub fn run(&self, text: Option<GivenText>, start: Start, adapter: &Adapter) -> Result<Run> {
        let data = match self.source {
            SourceChoice::OwnSource => Data::OwnSource,
            SourceChoice::Stories(language) => Data::Stories(language),
            SourceChoice::Preferences(language) => Data::Preferences(language),
            SourceChoice::Task(task) => Data::Task(task, self.positive(Field::Distance)?),
            SourceChoice::Text => Data::Text(text.ok_or_else(|| {
                Error::Data("there is no text yet; drop a text file, choose one or paste some text, or take a built-in source".to_owned())
            })?),
        };
        if self.vocabulary == Vocabulary::Learned && start != Start::Seed {
            let what = "the model was trained with a vocabulary of its own; take its tokenizer, or start from the seed";
            return Err(Error::Setting(what.to_owned()));
        }
        let Plan { spec, strategy, chunks, .. } = self.plan(adapter)?;
        Ok(Run {
            spec,
            settings: self.settings(strategy)?,
            data,
            vocabulary: self.vocabulary,
            start,
            validate_every: self.whole(Field::ValidateEvery)?,
            sample_every: self.whole(Field::SampleEvery)?,
            prompt: self.get(Field::Prompt).to_owned(),
            budget: self.budget()?,
            chunks,
        })
    }

    /// The model, what of it learns, and how its activations lie.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense.
    pub fn spec(&self) -> Result<ModelSpec> {
        Ok(self.trained()?.with_activation_dtype(self.activation_dtype))
    }

    fn trained(&self) -> Result<ModelSpec> {
        let config = self.config()?;
        if !self.has_adapters {
            return Ok(ModelSpec::from(&config));
        }
        let (rank, alpha) = (self.positive(Field::Rank)?, self.number(Field::Alpha)?);
        let layers = self.adapted_layers()?;
        ModelSpec::lora(&config, Lora { rank, alpha, use_rslora: self.use_rslora, targets: self.targets.clone(), layers }, self.frozen)
    }

    fn config(&self) -> Result<Config> {
        let rope = Rope { theta: self.number(Field::RopeTheta)?, ..self.model.rope };
        let has_one_rope = !self.model.family().has_local_rope;
        let config = Config {
            hidden_size: self.positive(Field::HiddenSize)?,
            intermediate_size: self.positive(Field::IntermediateSize)?,
            num_hidden_layers: self.positive(Field::Layers)?,
            num_attention_heads: self.positive(Field::Heads)?,
            num_key_value_heads: self.positive(Field::KeyValueHeads)?,
            head_dim: self.positive(Field::HeadDim)?,
            vocab_size: self.positive(Field::VocabSize)?,
            rope,
            local_rope: if has_one_rope { rope } else { self.model.local_rope },
            tie_word_embeddings: self.tied,
            ..self.model.clone()
        };
        // The file's own checks: one place says what a model may be.
        Config::from_json(&config.to_json())
    }

    fn strategy(&self, kind: StrategyKind, [chunk, logits_chunk]: [u32; 2]) -> Strategy {
        let strategy = Strategy::new(kind, chunk, logits_chunk).saving(self.saved_activations);
        strategy.offloading(self.offload).with_adaptive_chunks(self.adaptive_chunks)
    }

    fn settings(&self, strategy: Strategy) -> Result<Settings> {
        let settings = Settings {
            seq_len: self.positive(Field::SeqLen)?,
            batch: self.positive(Field::Batch)?,
            accumulate: self.positive(Field::Accumulate)?,
            strategy,
            objective: self.objective()?,
            learning_rate: self.number(Field::LearningRate)?,
            min_learning_rate: self.number(Field::MinLearningRate)?,
            warmup: self.whole(Field::Warmup)?,
            steps: u64::from(self.positive(Field::Steps)?),
            weight_decay: self.number(Field::WeightDecay)?,
            max_grad_norm: self.number(Field::MaxGradNorm)?,
            beta1: self.number(Field::Beta1)?,
            beta2: self.number(Field::Beta2)?,
            adam_epsilon: self.number(Field::Epsilon)?,
            seed: self.whole(Field::Seed)?,
            roll_outs: self.roll_outs()?,
        };
        settings.validate()?;
        Ok(settings)
    }

    /// What is wrong with a field alone.
    pub fn problem(&self, field: Field) -> Option<String> {
        let checked = match field {
            Field::Prompt => Ok(()),
            Field::Rewards => rewards::parse(self.get(field)).map(drop),
            Field::AdaptedLayers => self.adapted_layers().map(drop),
            Field::SftLearningRate => self.sft_learning_rate().map(drop),
            Field::Budget => self.budget().map(drop),
            Field::Warmup | Field::Seed | Field::ValidateEvery | Field::SampleEvery | Field::Distance | Field::SftSteps => {
                self.whole(field).map(drop)
            }
            Field::RopeTheta
            | Field::Alpha
            | Field::Beta
            | Field::LabelSmoothing
            | Field::ClipEpsilon
            | Field::Temperature
            | Field::LearningRate
            | Field::MinLearningRate
            | Field::WeightDecay
            | Field::MaxGradNorm
            | Field::Beta1
            | Field::Beta2
            | Field::Epsilon => self.number(field).map(drop),
            Field::Chunk | Field::LogitsChunk => self.chunk(field).map(drop),
            Field::SeqLen
            | Field::Batch
            | Field::LayerGroup
            | Field::HiddenSize
            | Field::IntermediateSize
            | Field::Layers
            | Field::Heads
            | Field::KeyValueHeads
            | Field::HeadDim
            | Field::VocabSize
            | Field::Rank
            | Field::Steps
            | Field::NumGenerations
            | Field::MaxCompletionLength
            | Field::NumIterations
            | Field::Accumulate => self.positive(field).map(drop),
        };
        checked.err().map(|error| error.to_string())
    }

    fn adapted_layers(&self) -> Result<Option<Layers>> {
        Some(self.get(Field::AdaptedLayers).trim()).filter(|text| !text.is_empty()).map(Layers::from_str).transpose()
    }

    fn whole(&self, field: Field) -> Result<u64> {
        let typed = self.get(field);
        typed.trim().parse().map_err(|_| Error::Setting(format!("the {} is \"{typed}\"; it must be a whole number", words(field))))
    }

    fn positive(&self, field: Field) -> Result<u32> {
        let value = self.whole(field)?;
        match u32::try_from(value) {
            Ok(0) => Err(Error::Setting(format!("the {} must be 1 or more", words(field)))),
            Ok(value) => Ok(value),
            Err(_) => Err(Error::Setting(format!("the {} is {value}; it must be smaller than 2^32", words(field)))),
        }
    }

    fn number(&self, field: Field) -> Result<f64> {
        let typed = self.get(field);
        typed.trim().parse().map_err(|_| Error::Setting(format!("the {} is \"{typed}\"; it must be a number", words(field))))
    }
}

/// A field's name in a sentence.
fn words(field: Field) -> String {
    match field {
        Field::SeqLen => "sequence length".to_owned(),
        Field::Chunk => "chunk length".to_owned(),
        _ => field.name().replace('-', " "),
    }
}

/// The length to which a chunk is rounded up, if what was typed is no whole number of token tiles.
pub fn rounded_up(typed: &str) -> Option<u32> {
    let length: u32 = typed.trim().parse().ok().filter(|&length| length > 0)?;
    let rounded = length.div_ceil(TOKEN_TILE).checked_mul(TOKEN_TILE)?;
    (rounded != length).then_some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PUBLISHED;
    use crate::web::protocol::TaskKind;

    fn with(field: Field, value: &str) -> Form {
        let mut form = Form::default();
        form.set(field, value);
        form
    }

    #[test]
    fn the_first_form_makes_a_run_and_a_run_its_form() {
        let run = Form::default().run(None, Start::Seed, &Adapter::default()).unwrap();
        assert_eq!((run.settings.seq_len, &run.data), (512, &Data::Stories(Language::English)));
        let mut form = Form::default();
        form.set(Field::Chunk, 128);
        assert_eq!(Form::of_run(&run), form, "what was chosen stays");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let sentence = |field, value| with(field, value).plan(&Adapter::default()).unwrap_err().to_string();
        assert_eq!(sentence(Field::Chunk, "a"), "the chunk length is \"a\"; it must be 1 or more, or auto");
        assert_eq!(sentence(Field::Batch, "0"), "the batch must be 1 or more");
        assert!(sentence(Field::Heads, "3").contains("num_key_value_heads"), "{}", sentence(Field::Heads, "3"));
        assert!(sentence(Field::Steps, "99999999999").contains("smaller"));
        assert!(Form { source: SourceChoice::Text, ..Form::default() }.run(None, Start::Seed, &Adapter::default()).is_err());
    }

    #[test]
    fn samples_begin_as_what_is_learned_does() {
        let mut form = Form::default();
        assert_eq!(form.get(Field::Prompt), "Mia ");
        form.set_source(SourceChoice::Stories(Language::Korean));
        assert_eq!(form.get(Field::Prompt), "미나");
        form.set(Field::Prompt, "옛날에 ");
        form.set_source(SourceChoice::OwnSource);
        assert_eq!(form.get(Field::Prompt), "옛날에 ");
    }

    #[test]
    fn a_link_carries_every_control() {
        assert_eq!(Form::default().to_pairs(), []);
        let mut form = Form { source: SourceChoice::Task(TaskKind::Sort), strategy: StrategyKind::Standard, ..Form::default() };
        (form.tied, form.preset) = (false, String::new());
        (form.saved_activations, form.offload, form.adaptive_chunks) = ("attention,mlp:2".parse().unwrap(), true, true);
        (form.has_adapters, form.use_rslora, form.frozen) = (true, true, Dtype::Int8);
        (form.targets, form.vocabulary) = (vec![Projection::Query, Projection::Down], Vocabulary::Learned);
        (form.objective, form.loss_type, form.grpo_loss_type) = (ObjectiveChoice::Dpo, DpoLossType::Ipo, GrpoLossType::DrGrpo);
        Field::ALL.iter().zip(1000..).for_each(|(&field, value)| form.set(field, value));
        let pairs = form.to_pairs();
        assert_eq!(pairs.len(), 15 + Field::ALL.len());
        assert_eq!(Form::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value))), form);
        assert_eq!(Form::from_pairs([("nonsense".to_owned(), "1".to_owned())]), Form::default());
    }

    #[test]
    fn what_is_kept_in_all_layers_stays_so() {
        let mut form = Form::default();
        form.save_in(SavedActivation::Attention, 4);
        form.save_in(SavedActivation::Mlp, 2);
        assert_eq!(form.plan(&Adapter::default()).unwrap().strategy.saved_activations().to_string(), "attention,mlp:2");
        form.set(Field::Layers, 6);
        assert_eq!(
            [SavedActivation::Attention, SavedActivation::Mlp, SavedActivation::Norms].map(|keep| form.saved_layers(keep)),
            [6, 2, 0]
        );
    }

    #[test]
    fn a_link_carries_models_of_other_families_and_their_adapters() {
        let mut form = Form::default();
        form.take_model(&PUBLISHED[1].config, true);
        let again = Form::from_pairs(form.to_pairs().into_iter().map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(again, form);
        let spec = again.plan(&Adapter::default()).unwrap().spec;
        assert_eq!((spec.config.family().name, spec.adapters().unwrap().rank), ("qwen3", 8));
        form.targets.clear();
        assert!(form.plan(&Adapter::default()).unwrap_err().to_string().contains("q_proj"));
    }

    #[test]
    fn the_form_of_a_run_with_adapters_makes_the_same_run() {
        let mut form = Form::default();
        form.take_model(&PUBLISHED[0].config, false);
        form.toggle_target(Projection::Gate);
        form.set_frozen("int8");
        let run = form.run(None, Start::Seed, &Adapter::default()).unwrap();
        assert_eq!(Form::of_run(&run).run(None, Start::Seed, &Adapter::default()).unwrap(), run);
    }

    #[test]
    fn chunks_are_rounded_up_to_whole_tiles() {
        assert_eq!(rounded_up("100"), Some(128));
        assert_eq!(rounded_up("128"), None);
        assert_eq!(rounded_up("0"), None);
        assert_eq!(rounded_up("4294967295"), None);
    }
}
