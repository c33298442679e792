//! What is true in the lesson: planned for the first form's model, or measured.

use super::chapter::Truth;
use super::recorded::Recorded;
use crate::gpu::DeviceClass;
use crate::model::PRESETS;
use crate::step::{Objective, StrategyKind};
use crate::train::ChunkLength;
use crate::web::charts::{Mountains, model_bytes};
use crate::web::form::{Adapter, Form};
use crate::web::format::{bytes, digits, whole};
use crate::web::memory_curve::Line;
use crate::web::published::COMPARISONS;
use crate::web::question::Question;

/// Tokens of the lesson's sequence.
pub const TOKENS: u32 = 8192;
/// Bytes of the lesson's budget.
pub const BUDGET: u64 = 64 << 20;
/// The length to which it is compared.
const SHORT: u32 = 512;

/// The facts of the lesson.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Peaks at [`TOKENS`], in the order of [`StrategyKind::ALL`].
    pub peaks: [u64; 3],
    /// Bytes of the model.
    pub model: u64,
    /// How many times as many bytes grow with the sequence at [`TOKENS`] as at 512 tokens.
    pub growth: f64,
    /// The longest sequences in [`BUDGET`].
    pub longest: [u32; 3],
    /// Seconds of a step under every strategy, and where they were measured.
    pub times: Option<([f64; 3], String)>,
    /// Steps after which recall was learned.
    pub steps: Option<u64>,
}

impl Facts {
    /// The places that texts have for facts.
    pub const NAMES: [&'static str; 9] = [
        "truth",
        "standard-peak",
        "checkpoint-peak",
        "model",
        "standard-longest",
        "published-stream",
        "published-checkpoint",
        "adapter",
        "steps",
    ];

    /// Plans what can be planned.
    pub fn planned() -> Facts {
        let form = Form::default();
        let plan = form.plan(&Adapter::default()).expect("the first form makes sense");
        let [short, long] = [SHORT, TOKENS].map(|tokens| Mountains::of(&plan, BUDGET, tokens));
        let growing = |mountains: &Mountains| {
            let standard = &mountains.all[StrategyKind::Standard as usize];
            standard.columns.iter().map(|column| column.parts.iter().sum::<u64>() - model_bytes(&column.parts)).max().unwrap_or(0)
        };
        let model = |mountains: &Mountains| mountains.all[0].columns.iter().map(|column| model_bytes(&column.parts)).max().unwrap_or(0);
        let question = Question {
            objective: plan.objective,
            spec: plan.spec.clone(),
            sequences: 1,
            chunks: plan.chunks.map(ChunkLength::Tokens),
            speed: DeviceClass::TYPICAL.speed(),
            budget: BUDGET,
            limits: [u64::MAX; 2],
            without_model: false,
            machines: 1,
        };
        let longest = StrategyKind::ALL.map(|kind| Line::plan(&question, kind, Some(TOKENS)).longest.unwrap_or(0));
        Facts {
            peaks: long.all.each_ref().map(|mountain| mountain.peak),
            model: model(&long),
            growth: growing(&long) as f64 / growing(&short) as f64,
            longest,
            times: None,
            steps: None,
        }
    }

    /// The same with what was recorded, where nothing was measured here.
    pub fn with_recorded(self, recorded: &Recorded) -> Facts {
        let times = self.times.or_else(|| Some((recorded.times, recorded.adapter.clone())));
        Facts { times, steps: self.steps.or_else(|| recorded.recall.last()?.learned_after()), ..self }
    }

    /// The number that a truth is; `None` if nothing was measured.
    pub fn number(&self, truth: Truth) -> Option<f64> {
        Some(match truth {
            Truth::Growth => self.growth,
            Truth::StreamPeak => self.peaks[StrategyKind::Stream as usize] as f64 / f64::from(1 << 20),
            Truth::Longest => f64::from(self.longest[StrategyKind::Stream as usize]),
            Truth::Slowdown => {
                let (times, _) = self.times.as_ref()?;
                times[StrategyKind::Stream as usize] / times[StrategyKind::Checkpoint as usize].max(1e-9)
            }
        })
    }

    /// A number of a truth in words.
    pub fn text(truth: Truth, value: f64) -> String {
        match truth {
            Truth::Longest => whole(value as u64),
            Truth::Growth | Truth::StreamPeak | Truth::Slowdown => digits(value),
        }
    }

    /// Puts facts into the places of a text.
    pub fn fill(&self, text: &str) -> String {
        let comparison =
            COMPARISONS.iter().find(|comparison| comparison.model == "Qwen3 8B" && comparison.gib == 80).expect("it is published");
        let [standard, checkpoint, _] = self.peaks.map(bytes);
        let adapter = self.times.as_ref().map_or_else(String::new, |(_, adapter)| adapter.clone());
        let values = [
            ("standard-peak", standard),
            ("checkpoint-peak", checkpoint),
            ("model", bytes(self.model)),
            ("standard-longest", whole(u64::from(self.longest[0]))),
            ("published-stream", whole(u64::from(comparison.stream.planned))),
            ("published-checkpoint", whole(u64::from(comparison.checkpoint.planned))),
            ("adapter", adapter),
            ("steps", self.steps.map_or_else(String::new, whole)),
        ];
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

/// The bytes that grow with the sequence, at the peak of a standard step, at powers of two from 512 tokens on.
pub fn growth_curve() -> Vec<(u32, u64)> {
    let spec = (&PRESETS[0].config).into();
    let question = Question {
        objective: Objective::default(),
        spec,
        sequences: 1,
        chunks: [ChunkLength::Tokens(128); 2],
        speed: DeviceClass::TYPICAL.speed(),
        budget: BUDGET,
        limits: [u64::MAX; 2],
        without_model: true,
        machines: 1,
    };
    (0..5).map(|doublings| SHORT << doublings).map(|tokens| (tokens, question.peak(StrategyKind::Standard, tokens).0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_those_of_see() {
        let facts = Facts::planned();
        assert_eq!(facts.peaks.map(bytes), ["286 MiB", "93.1 MiB", "37.7 MiB"]);
        assert!((facts.growth - 15.9).abs() < 0.06, "{}", facts.growth);
        assert!(facts.longest[0] < facts.longest[1] && facts.longest[1] < facts.longest[2] && facts.longest[2] > TOKENS);
        assert_eq!(facts.fill("{standard-peak}, {checkpoint-peak}"), "286 MiB, 93.1 MiB");
        assert_eq!(facts.number(Truth::Slowdown), None);
    }

    #[test]
    fn activations_grow_evenly() {
        let curve = growth_curve();
        assert_eq!(curve.len(), 5);
        assert!(curve.windows(2).all(|pair| (1.9..2.05).contains(&(pair[1].1 as f64 / pair[0].1 as f64))), "{curve:?}");
    }
}
