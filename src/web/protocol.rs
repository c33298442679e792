//! What page and worker say to one another, with the visitor's text as a file beside it.

use serde::{Deserialize, Serialize};

use super::model_protocol::{Origin, Vocabulary};
use crate::gpu::{Ceilings, Tuning};
use crate::model::{Config, ModelSpec};
use crate::step::{Granularity, Objective, StrategyKind};
use crate::text::is_named_as_rows;
use crate::train::{
    AttentionPattern, DpoMetrics, Language, Profile, RoundProgress, SampleMetrics, Settings, StepReport, Suggestion, Summary, TokenScore,
    Validation, VerifyReport,
};

/// What the page wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Make a new run, and go.
    Begin(Box<Run>, Go),
    /// Go on with the run.
    Continue(Go),
    /// Go back by a stride within the step.
    Back(Granularity),
    /// Stop: at full speed behind the step that is running, in slow motion at once.
    Pause,
    /// Forget the run and give its memory back.
    Reset,
    /// What are the numbers of that tensor now?
    Inspect(u32),
    /// What is the attention map of that head of that layer?
    Attention {
        /// The layer.
        layer: u32,
        /// The query head.
        head: u32,
    },
    /// Time a step under every strategy.
    Compare(Box<Run>),
    /// Set every operation against what the device can do: those of the run there is, or else of that one.
    Profile(Box<Run>),
    /// Show that the gradients are the same bits.
    Prove(Box<Run>),
    /// Report on the device.
    Report,
    /// Look for the fastest kernels for such a run.
    Search(Box<Run>),
    /// Look no further.
    SkipSearch,
    /// The port beside the message leads to the model worker; without one, there is none any more.
    ModelWorker,
    /// Let the model worker give the visitor what the run has learned.
    Export,
    /// Let the model worker give the visitor the directory of the run.
    ExportRun,
    /// Go on with the run in the files beside the message, which have these names. The visitor's text, if one was given, is the last of them.
    OpenRun(Vec<String>, Box<AtHand>),
    /// Go on with the saved run of that id.
    Resume(String),
    /// Forget the saved run of that id.
    Forget(String),
    /// Which runs are saved? Another tab may have saved some.
    ListSaved,
    /// Open a device now for the run that waits for one.
    OpenNow,
}

impl ToWorker {
    /// The run that it is about. Its text, if it is trained on one, is the file beside the message.
    pub fn run(&self) -> Option<&Run> {
        match self {
            ToWorker::Begin(run, _) | ToWorker::Compare(run) | ToWorker::Profile(run) | ToWorker::Prove(run) => Some(run),
            _ => None,
        }
    }
}

/// How to go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Go {
    /// At full speed, until told otherwise.
    Continuous,
    /// To the end of the step.
    OneStep,
    /// One stride.
    Granularity(Granularity),
    /// Strides, so many in a second.
    Slow(Granularity, f64),
}

/// Everything that makes a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The model, and what of it learns.
    pub spec: ModelSpec,
    /// How it is trained.
    pub settings: Settings,
    /// What it is trained on.
    pub data: Data,
    /// How text becomes tokens.
    pub vocabulary: Vocabulary,
    /// Where its weights come from.
    pub start: Start,
    /// Steps between validations; 0 for none.
    pub validate_every: u64,
    /// Steps between samples; 0 for none.
    pub sample_every: u64,
    /// What samples begin with.
    pub prompt: String,
    /// Bytes that the visitor allows.
    pub budget: u64,
    /// C and C' as typed, for the strategies that were not chosen.
    pub chunks: [u32; 2],
}

/// Where the first weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// Drawn from the seed.
    Seed,
    /// The model that the model worker has open.
    Opened {
        /// Where it comes from.
        origin: Origin,
        /// Its fingerprint.
        fingerprint: u64,
        /// Do its adapters, too, come from files?
        has_adapters: bool,
    },
}

impl Start {
    /// Where the model comes from, if from files.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Start::Seed => None,
            Start::Opened { origin, .. } => Some(origin),
        }
    }
}

/// Something to learn from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// This project's own shaders.
    OwnSource,
    /// A generated task, with the distance across which its answers lie.
    Task(TaskKind, u32),
    /// A text of the visitor's.
    Text(GivenText),
    /// Generated stories with questions.
    Stories(Language),
    /// Generated pairs of answers to questions about stories.
    Preferences(Language),
}

impl Data {
    /// Is it generated rather than a text? Its tokens are bytes then.
    pub fn is_generated(&self) -> bool {
        matches!(self, Data::Task(..) | Data::Stories(_) | Data::Preferences(_))
    }
}

/// A text of the visitor's. The text itself stays in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenText {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// When it was written, in seconds since 1970.
    pub written: u64,
    /// Does it begin as JSON does, so that it may be rows?
    pub may_be_rows: bool,
}

/// What the page has for a run of the program: what the directory of such a run does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtHand {
    /// Where a run starts: the model that is open, or else the seed.
    pub start: Start,
    /// The sizes of the model that is open.
    pub config: Option<Config>,
    /// The text that was given.
    pub text: Option<GivenText>,
    /// Steps between samples; 0 for none.
    pub sample_every: u64,
    /// What samples begin with.
    pub prompt: String,
    /// Bytes that the visitor allows.
    pub budget: u64,
}

/// May a text be rows of JSON, by its name or its first bytes?
pub fn may_be_rows(name: &str, start: &[u8]) -> bool {
    if is_named_as_rows(name) {
        return true;
    }
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    matches!(start.trim_ascii_start().first(), Some(b'{' | b'['))
}

impl Run {
    /// Is it trained on what another run is trained on?
    pub fn has_dataset_of(&self, other: &Run) -> bool {
        let kind = |run: &Run| (run.vocabulary, run.settings.seq_len, run.has_pairs(), run.longest_prompt());
        (&self.data, &self.start, &self.spec.config, kind(self)) == (&other.data, &other.start, &other.spec.config, kind(other))
    }

    /// The most tokens of a prompt, if it learns from completions.
    pub fn longest_prompt(&self) -> Option<u32> {
        match self.settings.objective {
            Objective::Grpo(grpo) => Some(self.settings.seq_len.saturating_sub(grpo.max_completion_length)),
            Objective::CrossEntropy | Objective::Dpo(_) => None,
        }
    }

    /// Is it trained on pairs of answers?
    pub fn has_pairs(&self) -> bool {
        matches!(self.settings.objective, Objective::Dpo(_))
    }

    /// Is its text encoded by the model worker?
    pub fn is_encoded(&self) -> bool {
        match &self.data {
            Data::Task(..) | Data::Stories(_) | Data::Preferences(_) => false,
            Data::OwnSource => self.vocabulary != Vocabulary::Bytes,
            Data::Text(given) => self.vocabulary != Vocabulary::Bytes || given.may_be_rows || self.has_pairs(),
        }
    }
}

/// A generated task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// Keys bound to values at the start are asked for at the end.
    Recall,
    /// What came some way back is to be repeated.
    Copy,
    /// Letters are to be put in order, after a while.
    Sort,
    /// Digits of some way back are to be added up.
    Sum,
}

impl TaskKind {
    /// The value in the page's list and link.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Recall => "recall",
            TaskKind::Copy => "copy",
            TaskKind::Sort => "sort",
            TaskKind::Sum => "sum",
        }
    }
}

/// What the worker reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// There is a device.
    Ready(Device),
    /// All saved runs, the newest first, without the one in progress.
    SavedRuns(Vec<SavedRun>),
    /// Whether runs can be saved, when that has changed.
    Storage(Storage),
    /// The run in progress was saved after that step.
    SavedAfter(u64),
    /// The run's buffers exist.
    Began {
        /// What the plan said.
        planned_bytes: u64,
        /// What the device's own objects add up to.
        created_bytes: u64,
        /// What was read to learn from, if anything.
        read: Option<Summary>,
        /// Tokens of its longest sequence.
        longest: u32,
        /// The tile sizes of its kernels.
        tuning: Tuning,
    },
    /// The run's kernels are being compiled: so many are, of all.
    Preparing(u32, u32),
    /// The reference is asked of all pairs of the run: so many batches are done, of all.
    AskingReference(u32, u32),
    /// A saved run goes on: what it is, and what it has done. Its text is the file beside the message.
    Resumed(Box<Run>, History),
    /// The device was lost and no other could be opened yet. The run is kept, and the next attempt follows by itself.
    WaitsForDevice {
        /// The last good step.
        step: u64,
        /// Attempts so far.
        attempts: u32,
        /// What failed at the last one; `None` if there is no adapter.
        problem: Option<String>,
        /// Seconds to the next one.
        seconds: u32,
    },
    /// The device was lost, and the run goes on from the end of that step on a new one.
    Recovered {
        /// The last good step.
        step: u64,
        /// The browser's words.
        reason: String,
        /// How the run goes on; `None` if it stands still.
        go: Option<Go>,
    },
    /// So many turns of the step are done; the second number is the step under way.
    At(u64, u64),
    /// All buffers on the device, by what they are for.
    Buffers(Vec<(String, u64)>),
    /// The sequences of the batch at work have these lengths.
    Packed(Vec<u32>),
    /// A step is done. If it compares pairs: what it found of them.
    Stepped(StepReport, Option<DpoMetrics>, Option<SampleMetrics>),
    /// How the model does on what it never saw.
    Validated(u64, Validation),
    /// Completions are being sampled: how far, and the texts so far of the group at hand.
    Sampling(RoundProgress, Vec<String>),
    /// The first group of completions that a step has learned from.
    Completed(u64, Box<GroupView>),
    /// What the validation after a step found of held-out pairs.
    ValidatedPairs(u64, Box<PairsView>),
    /// What the model writes after a step.
    Sampled(u64, Sample),
    /// The run stands still.
    Paused,
    /// The run is forgotten.
    WasReset,
    /// The numbers of a tensor.
    Inspected(Box<TensorView>),
    /// The attention map of a head after a step, and the texts of the sequence's tokens.
    Looked(u64, Box<AttentionPattern>, Vec<String>),
    /// Seconds of a step under each strategy, or what is in the way; the message is sent whenever one more is known.
    Compared(Vec<(StrategyKind, Result<f64, String>)>),
    /// Every operation against what the device can do.
    Profiled(Box<Profile>),
    /// How far the proof has come: runs done, of all.
    Proving(usize, usize),
    /// The proof.
    Proved(Box<VerifyReport>),
    /// The fastest kernels are being looked for: the share of the search that is done.
    Searching(f64),
    /// They were: how many operations have others than those of the device's class, and the tile sizes of all.
    Searched(usize, Tuning),
    /// What the device does at most.
    Ceilings(Ceilings),
    /// Are gradients the same bits on the device, for every chunk length and strategy?
    SelfChecked(bool),
    /// The report on the device.
    Reported(String),
    /// The run stopped, since the loss or the gradient of a step is not finite. Nothing was updated.
    Diverged {
        /// The step.
        step: u64,
        /// Is the loss finite, and only the gradient not?
        is_gradient: bool,
        /// The step after which the run was saved last.
        saved: Option<u64>,
    },
    /// Something went wrong.
    Failed {
        /// What, in a sentence.
        message: String,
        /// Can the run go on?
        run_survives: bool,
        /// What would fit, if it was too large.
        suggestion: Option<Suggestion>,
    },
}

/// A saved run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRun {
    /// The name of its directory.
    pub id: String,
    /// What it is; `None` if that cannot be read.
    pub about: Option<Box<About>>,
    /// Bytes that it takes in the storage.
    pub bytes: u64,
    /// Is it in progress in another tab?
    pub is_elsewhere: bool,
}

/// What a saved run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The run.
    pub run: Run,
    /// The steps that it has done.
    pub step: u64,
    /// When it was saved, in milliseconds since 1970.
    pub saved_at: f64,
}

/// Can runs be saved?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// Yes.
    Works,
    /// The browser refuses, with these words.
    Refuses(String),
    /// There is no room for the last save. Earlier ones are still there.
    IsFull,
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Its steps.
    pub steps: Vec<StepReport>,
    /// Its validations, each with its step.
    pub validations: Vec<(u64, Validation)>,
    /// What steps found of their pairs, each with its step, if the run compares these.
    pub pairs: Vec<(u64, DpoMetrics)>,
    /// What steps found of their completions, each with its step, if the run learns from rewards.
    pub samples: Vec<(u64, SampleMetrics)>,
}

/// A text that the model wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it began with.
    pub prompt: String,
    /// What was written, character by character, each with the probability that the model gave it.
    pub written: Vec<(String, f32)>,
}

/// What a validation found of held-out pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairsView {
    /// The margin of each pair.
    pub margins: Vec<f64>,
    /// What the answers of the first pair follow. Its start may be left out.
    pub prompt: String,
    /// The chosen and the rejected answer of the first pair, piece by piece, each with what the model finds of it; nothing where it is not
    /// learned.
    pub answers: [Vec<(String, Option<TokenScore>)>; 2],
}

/// The completions of a prompt that a step has learned from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    /// What they follow.
    pub prompt: String,
    /// Were they sampled? Otherwise it is the answer of the data.
    pub is_sampled: bool,
    /// All of them.
    pub completions: Vec<CompletionView>,
}

/// A completion, and what a step has found of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionView {
    /// Piece by piece, each with its weight in the gradient: −∂loss/∂log-probability.
    pub pieces: Vec<(String, f32)>,
    /// Has it come to an end?
    pub is_ended: bool,
    /// What it is worth.
    pub reward: f64,
    /// How much better it is than the others.
    pub advantage: f32,
}

/// The numbers of a tensor at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorView {
    /// The place of the tensor in the program.
    pub tensor: u32,
    /// The number of the turn that comes next.
    pub turn: u64,
    /// Rows and columns that were looked at, padding included.
    pub shape: [u32; 2],
    /// The smallest number.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// The root of their mean square.
    pub rms: f64,
    /// Numbers that are none (infinite or NaN).
    pub not_finite: u64,
    /// Rows and columns of the small picture.
    pub picture_shape: [u32; 2],
    /// Means over equal parts of the tensor, row by row.
    pub picture: Vec<f32>,
}

/// What the page has to know of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The adapter's name.
    pub name: String,
    /// Bytes that one buffer may have.
    pub max_buffer: u64,
    /// Bytes that one binding may have.
    pub max_binding: u64,
    /// The tile sizes of its class.
    pub tuning: Tuning,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dtype, Lora, Projection};
    use crate::web::form::{Adapter, Form};

    #[test]
    fn rows_may_be_known_by_name_or_first_bytes() {
        let may_be = |start: &&[u8]| may_be_rows("talks.txt", start);
        assert!([&b"{\"text\": 1}"[..], b" \n[{", b"\xef\xbb\xbf{"].iter().all(may_be));
        assert!(![&b""[..], b"Once", b"\xef\xbb\xbf"].iter().any(may_be));
        assert!(may_be_rows("https://host/talks.JSONL?download=true", b"Once"));
    }

    #[test]
    fn a_run_arrives_as_it_was_sent() {
        let mut run = Form::default().run(None, Start::Seed, &Adapter::default()).unwrap();
        run.data = Data::Text(GivenText { name: "„Text“\n\u{2028}\"".to_owned(), size: 1 << 40, written: 1, may_be_rows: true });
        let lora = Lora { rank: 2, alpha: 4.0, use_rslora: false, targets: vec![Projection::Query], layers: None };
        run.spec = ModelSpec::lora(&run.spec.config, lora, Dtype::F32).unwrap();
        let message = ToWorker::Begin(Box::new(run), Go::Slow(Granularity::Chunk, 2.5));
        let sent = postcard::to_allocvec(&message).unwrap();
        assert_eq!(postcard::from_bytes::<ToWorker>(&sent).unwrap(), message);
    }
}
