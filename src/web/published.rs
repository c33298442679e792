//! The models of the paper as plans, and the sequence lengths that the paper reports for them.

use super::question::Question;
use crate::gpu::DeviceClass;
use crate::model::{Dtype, Lora, ModelSpec, Preset, Projection};
use crate::step::{Objective, StrategyKind};
use crate::train::ChunkLength;

/// The address of the paper.
pub const PAPER: &str = "https://arxiv.org/abs/2506.03077";
/// The memory of the paper's GPUs in GiB. A GPU of 80 GB has 80 GiB.
pub const BUDGETS: [u32; 2] = [24, 80];
/// The rank of the paper's adapters.
pub const RANK: u32 = 32;
/// The chunk length of these plans, in the layers and in the loss head.
pub const CHUNK: u32 = 128;

/// What is trained of a published model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trainable {
    /// LoRA adapters on frozen weights in bf16, as in the paper.
    #[default]
    Lora,
    /// All parameters, in f32.
    All,
}

impl Trainable {
    /// Both, in the order of the page's list.
    pub const ALL: [Trainable; 2] = [Trainable::Lora, Trainable::All];

    /// The value in the page's list.
    pub fn name(self) -> &'static str {
        match self {
            Trainable::Lora => "lora",
            Trainable::All => "all",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Trainable> {
        Trainable::ALL.into_iter().find(|trainable| trainable.name() == name)
    }

    /// The specification of a model of which this is trained.
    pub fn spec(self, model: &Preset) -> ModelSpec {
        match self {
            Trainable::All => ModelSpec::from(&model.config),
            Trainable::Lora => {
                let targets = Projection::ALL.to_vec();
                let lora = Lora { rank: RANK, alpha: f64::from(2 * RANK), use_rslora: false, targets, layers: None };
                ModelSpec::lora(&model.config, lora, Dtype::Bf16).expect("the rank, alpha and the projections are in range")
            }
        }
    }

    /// The question of how long a sequence may be: one in a batch, on a device without other limits.
    pub fn question(self, model: &Preset, budget: u64, without_model: bool) -> Question {
        Question {
            objective: Objective::default(),
            spec: self.spec(model),
            sequences: 1,
            chunks: [ChunkLength::Tokens(CHUNK); 2],
            speed: DeviceClass::TYPICAL.speed(),
            budget,
            limits: [u64::MAX; 2],
            without_model,
            machines: 1,
        }
    }
}

/// The bytes of a budget that was typed in GiB; `None` if it makes no sense.
pub fn budget(typed: &str) -> Option<u64> {
    let gib: f64 = typed.trim().parse().ok()?;
    (gib > 0.0 && gib.is_finite()).then(|| (gib * f64::from(1 << 30)) as u64)
}

/// The longest sequences of a model in tokens: as planned here, and as the paper reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The strategy.
    pub strategy: StrategyKind,
    /// As planned here. A test holds it equal to the planner's.
    pub planned: u32,
    /// As reported by the paper, if it does.
    pub reported: Option<u32>,
}

/// A model on a GPU, with its longest sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The name of the model.
    pub model: &'static str,
    /// The memory of the GPU in GiB.
    pub gib: u32,
    /// With gradient checkpointing.
    pub checkpoint: Lengths,
    /// With StreamBP.
    pub stream: Lengths,
}

/// What the paper reports: Luo et al., *StreamBP: Memory-Efficient Exact Backpropagation for Long Sequence Training of LLMs*, 2025,
/// [arXiv 2506.03077](https://arxiv.org/abs/2506.03077). Supervised fine-tuning (SFT) with LoRA of rank 32.
pub const COMPARISONS: [Comparison; 5] = [
    comparison("Qwen3 4B", 80, [77_833, 199_355], [36_500, 247_000]),
    comparison("Qwen3 8B", 80, [56_111, 112_303], [30_600, 142_400]),
    comparison("Qwen3 14B", 80, [37_517, 64_933], [23_000, 84_600]),
    comparison("Qwen3 32B", 80, [8290, 12_067], [5900, 16_300]),
    comparison("Qwen3 8B", 24, [6580, 13_125], [0, 15_000]),
];

/// Lengths with checkpointing, then with StreamBP; 0 for what the paper does not report.
const fn comparison(model: &'static str, gib: u32, planned: [u32; 2], reported: [u32; 2]) -> Comparison {
    const fn lengths(strategy: StrategyKind, planned: u32, reported: u32) -> Lengths {
        Lengths { strategy, planned, reported: if reported == 0 { None } else { Some(reported) } }
    }
    Comparison {
        model,
        gib,
        checkpoint: lengths(StrategyKind::Checkpoint, planned[0], reported[0]),
        stream: lengths(StrategyKind::Stream, planned[1], reported[1]),
    }
}

impl Comparison {
    /// How many times the tokens of checkpointing StreamBP reaches: as planned here, and as reported.
    pub fn ratios(&self) -> (f64, Option<f64>) {
        let ratio = |stream: u32, checkpoint: u32| f64::from(stream) / f64::from(checkpoint);
        let reported = self.stream.reported.zip(self.checkpoint.reported);
        (ratio(self.stream.planned, self.checkpoint.planned), reported.map(|(stream, checkpoint)| ratio(stream, checkpoint)))
    }
}

/// A length that the paper reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The strategy.
    pub strategy: StrategyKind,
    /// The longest sequence.
    pub tokens: u32,
    /// The memory of the GPU in bytes.
    pub bytes: u64,
}

/// The paper's lengths for a model, if it is trained as in the paper on one of its GPUs.
pub fn marks(model: &str, trainable: Trainable, budget: u64) -> Vec<Mark> {
    let is_asked =
        |comparison: &&Comparison| trainable == Trainable::Lora && comparison.model == model && u64::from(comparison.gib) << 30 == budget;
    let mark = |lengths: Lengths| lengths.reported.map(|tokens| Mark { strategy: lengths.strategy, tokens, bytes: budget });
    COMPARISONS.iter().filter(is_asked).flat_map(|found| [found.checkpoint, found.stream]).filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PUBLISHED;
    use crate::web::memory_curve::{Chart, Line, axes};

    fn question(comparison: &Comparison, trainable: Trainable) -> Question {
        let model = PUBLISHED.iter().find(|model| model.name == comparison.model).expect("the paper's models are published");
        trainable.question(model, u64::from(comparison.gib) << 30, false)
    }

    #[test]
    fn the_planned_lengths_are_the_longest_that_fit() {
        for comparison in &COMPARISONS {
            let question = question(comparison, Trainable::Lora);
            for Lengths { strategy, planned, .. } in [comparison.checkpoint, comparison.stream] {
                let fits = |tokens: u32| question.peak(strategy, tokens).0 <= question.budget;
                assert!(fits(planned) && !fits(planned + 1), "{} at {} GiB with {strategy}", comparison.model, comparison.gib);
            }
        }
    }

    #[test]
    fn the_page_says_rightly_what_differs_from_the_paper() {
        for comparison in &COMPARISONS {
            let (planned, reported) = comparison.ratios();
            assert!(planned > 1.4 && reported.is_none_or(|reported| reported > planned), "{}", comparison.model);
            // Our activations have twice the bytes, so that StreamBP reaches less; our loss head has fewer copies of the logits, so that
            // checkpointing reaches further.
            assert!(comparison.stream.reported.is_some_and(|reported| reported > comparison.stream.planned));
            assert!(comparison.checkpoint.reported.is_none_or(|reported| reported < comparison.checkpoint.planned));
        }
    }

    #[test]
    fn everything_in_f32_fits_only_the_smallest_model() {
        let all_bytes = |comparison: &Comparison| question(comparison, Trainable::All).model_bytes();
        let fitting = COMPARISONS.iter().filter(|comparison| all_bytes(comparison) < u64::from(comparison.gib) << 30);
        assert_eq!(fitting.map(|comparison| comparison.model).collect::<Vec<_>>(), ["Qwen3 4B"]);
    }

    #[test]
    fn marks_stand_where_the_paper_says() {
        let found = marks("Qwen3 8B", Trainable::Lora, 80 << 30);
        assert_eq!(found.iter().map(|mark| mark.tokens).collect::<Vec<_>>(), [30_600, 142_400]);
        assert_eq!(marks("Qwen3 8B", Trainable::Lora, 24 << 30).iter().map(|mark| mark.tokens).collect::<Vec<_>>(), [15_000]);
        assert!(marks("Qwen3 8B", Trainable::All, 80 << 30).is_empty() && marks("Qwen3 8B", Trainable::Lora, 81 << 30).is_empty());

        let question = question(&COMPARISONS[4], Trainable::Lora);
        let line = Line::plan(&question, StrategyKind::Stream, None);
        let (end, longest) = (line.end(), line.longest.expect("a sequence fits"));
        assert_eq!(longest, COMPARISONS[4].stream.planned);
        let axes = axes(&Chart { model_bytes: 0, end, lines: vec![line] }, question.budget);
        let x = axes.left(15_000.0);
        assert!(axes.left(f64::from(longest)) < x && x < 100.0, "the mark is right of our length, and within the chart: {x}");
    }

    #[test]
    fn budgets_are_positive_numbers() {
        assert_eq!([" 24 ", "0.5"].map(budget), [Some(24 << 30), Some(1 << 29)]);
        assert_eq!(["", "0", "-1", "much", "inf"].map(budget), [None; 5]);
    }
}
