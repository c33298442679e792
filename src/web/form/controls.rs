//! The controls by name: what is typed, and where it stands on the page.

use crate::train::{Language, PreferencesTask};
use crate::web::protocol::TaskKind;

/// Where the text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceChoice {
    /// Generated stories with questions.
    Stories(Language),
    /// This project's own shaders.
    OwnSource,
    /// The visitor's text.
    Text,
    /// A generated task.
    Task(TaskKind),
    /// Generated pairs of answers to questions about stories.
    Preferences(Language),
}

impl SourceChoice {
    /// All of them, in the order of the list.
    pub const ALL: [SourceChoice; 10] = [
        SourceChoice::Stories(Language::English),
        SourceChoice::Stories(Language::Korean),
        SourceChoice::OwnSource,
        SourceChoice::Task(TaskKind::Recall),
        SourceChoice::Task(TaskKind::Copy),
        SourceChoice::Task(TaskKind::Sort),
        SourceChoice::Task(TaskKind::Sum),
        SourceChoice::Preferences(Language::English),
        SourceChoice::Preferences(Language::Korean),
        SourceChoice::Text,
    ];

    /// The value in the page's list and link.
    pub fn name(self) -> &'static str {
        match self {
            SourceChoice::Stories(Language::English) => "stories",
            SourceChoice::Stories(Language::Korean) => "stories-ko",
            SourceChoice::OwnSource => "own-source",
            SourceChoice::Text => "text",
            SourceChoice::Task(task) => task.name(),
            SourceChoice::Preferences(Language::English) => PreferencesTask::NAMES[0],
            SourceChoice::Preferences(Language::Korean) => PreferencesTask::NAMES[1],
        }
    }

    /// Can it be what an objective takes? Of a text only its reader knows.
    pub fn goes_with(self, objective: ObjectiveChoice) -> bool {
        match self {
            SourceChoice::Text => objective != ObjectiveChoice::Grpo,
            SourceChoice::Preferences(_) => objective == ObjectiveChoice::Dpo,
            SourceChoice::Stories(_) | SourceChoice::Task(_) => objective != ObjectiveChoice::Dpo,
            SourceChoice::OwnSource => objective == ObjectiveChoice::Sft,
        }
    }

    /// The language of its stories, if it tells any.
    pub fn language(self) -> Option<Language> {
        match self {
            SourceChoice::Stories(language) | SourceChoice::Preferences(language) => Some(language),
            SourceChoice::OwnSource | SourceChoice::Text | SourceChoice::Task(_) => None,
        }
    }

    /// The same in another language, if it tells stories.
    pub fn in_language(self, language: Language) -> SourceChoice {
        match self {
            SourceChoice::Stories(_) => SourceChoice::Stories(language),
            SourceChoice::Preferences(_) => SourceChoice::Preferences(language),
            other => other,
        }
    }

    /// What samples begin with, as long as the visitor does not say: the start of a line of it.
    pub fn prompt(self) -> &'static str {
        match self {
            SourceChoice::Stories(Language::English) | SourceChoice::Preferences(Language::English) => "Mia ",
            SourceChoice::Stories(Language::Korean) | SourceChoice::Preferences(Language::Korean) => "미나",
            SourceChoice::OwnSource => "fn ",
            SourceChoice::Text | SourceChoice::Task(_) => "",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<SourceChoice> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }
}

/// What a step minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectiveChoice {
    /// Supervised fine-tuning.
    Sft,
    /// Direct preference optimisation.
    Dpo,
    /// Group relative policy optimisation.
    Grpo,
}

impl ObjectiveChoice {
    /// All of them, in the order of the list.
    pub const ALL: [ObjectiveChoice; 3] = [ObjectiveChoice::Sft, ObjectiveChoice::Dpo, ObjectiveChoice::Grpo];

    /// The value in the page's list and link, and of the program's `--objective`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectiveChoice::Sft => "sft",
            ObjectiveChoice::Dpo => "dpo",
            ObjectiveChoice::Grpo => "grpo",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<ObjectiveChoice> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }
}

/// Writes the fields once; from the list come [`Field`], the names and where each stands.
macro_rules! fields {
    ($($field:ident $name:literal $group:ident;)*) => {
        /// A number or a text that the visitor types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "their texts are in the files of texts, by their names")]
        pub enum Field { $($field,)* }

        impl Field {
            /// All of them.
            pub const ALL: &'static [Field] = &[$(Field::$field,)*];

            /// Its control's id, its key in the link and in the files of texts.
            pub fn name(self) -> &'static str {
                match self { $(Field::$field => $name,)* }
            }

            /// Where it stands on the page.
            pub fn group(self) -> Group {
                match self { $(Field::$field => Group::$group,)* }
            }
        }
    };
}

/// Where a field stands on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// With what is learned from.
    Data,
    /// With the objective.
    Objective,
    /// With the step.
    Step,
    /// With the sizes of the model.
    Sizes,
    /// With the adapters.
    Adapters,
    /// With the optimizer.
    Training,
    /// With what is watched.
    Watch,
    /// With the memory picture.
    Budget,
}

fields! {
    Distance "distance" Data;
    Beta "beta" Objective;
    LabelSmoothing "label-smoothing" Objective;
    Rewards "rewards" Objective;
    NumGenerations "num-generations" Objective;
    MaxCompletionLength "max-completion-length" Objective;
    SftSteps "sft-steps" Objective;
    SftLearningRate "sft-learning-rate" Objective;
    ClipEpsilon "clip-epsilon" Objective;
    Temperature "temperature" Objective;
    NumIterations "num-iterations" Objective;
    SeqLen "seq-len" Step;
    Batch "batch" Step;
    Chunk "chunk" Step;
    LogitsChunk "logits-chunk" Step;
    LayerGroup "layer-group" Step;
    HiddenSize "hidden-size" Sizes;
    IntermediateSize "intermediate-size" Sizes;
    Layers "num-hidden-layers" Sizes;
    Heads "num-attention-heads" Sizes;
    KeyValueHeads "num-key-value-heads" Sizes;
    HeadDim "head-dim" Sizes;
    VocabSize "vocab-size" Sizes;
    RopeTheta "rope-theta" Sizes;
    Rank "lora-rank" Adapters;
    Alpha "lora-alpha" Adapters;
    AdaptedLayers "lora-layers" Adapters;
    LearningRate "learning-rate" Training;
    MinLearningRate "min-learning-rate" Training;
    Warmup "warmup" Training;
    Steps "steps" Training;
    Accumulate "accumulate" Training;
    WeightDecay "weight-decay" Training;
    MaxGradNorm "max-grad-norm" Training;
    Beta1 "beta1" Training;
    Beta2 "beta2" Training;
    Epsilon "epsilon" Training;
    Seed "seed" Training;
    ValidateEvery "validate-every" Watch;
    SampleEvery "sample-every" Watch;
    Prompt "prompt" Watch;
    Budget "budget" Budget;
}
