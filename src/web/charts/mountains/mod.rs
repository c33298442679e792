//! The memory of one step under every strategy: three mountains on one scale, under one budget.

mod svg;

pub use svg::{MountainWords, axis, mountains_file, passes, plot, single};

use super::part::{Part, Parts};
use super::planned::Planned;
use super::timeline::fullest;
use crate::step::{BatchShape, Limits, Pass, Program, StrategyKind};
use crate::web::axis::Scale;
use crate::web::form::Plan;

/// The three strategies at one sequence length.
#[derive(Clone, Debug, PartialEq)]
pub struct Mountains {
    /// Tokens of the sequence.
    pub tokens: u32,
    /// Bytes that are allowed.
    pub budget: u64,
    /// Bytes at the top of the y axis.
    pub top: u64,
    /// In the order of [`StrategyKind::ALL`].
    pub all: [Mountain; 3],
}

/// The memory of one step under one strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Mountain {
    /// The strategy.
    pub kind: StrategyKind,
    /// Bytes of all buffers.
    pub peak: u64,
    /// The step from left to right.
    pub columns: Vec<Column>,
}

/// Some operations that follow one another.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Where it ends, in thousandths of the width of the mountain; it begins where the one before it ends.
    pub end: u32,
    /// The pass that it belongs to.
    pub pass: Pass,
    /// Bytes at the fullest operation.
    pub parts: Parts,
}

/// Units of a mountain's width.
pub const WIDTH: u32 = 1000;

/// The passes that are drawn, and how wide: the same for all strategies, so that a pass is found at the same place of each mountain. Within
/// a pass, every operation is equally wide. Before the forward pass a step only sets gradients to zero.
pub const PASSES: [(Pass, u32); 4] = [(Pass::Forward, 310), (Pass::Loss, 120), (Pass::Backward, 430), (Pass::Update, 140)];

/// Units of a column: about two pixels of a wide window.
const COLUMN: u32 = 5;
/// The y axis never ends below this, so that the mountains are seen to grow up to the length at which they are first shown.
const LEAST_TOP: u64 = 310 << 20;
/// Room above the highest peak, as a share of it.
const HEADROOM: f64 = 1.04;

impl Mountains {
    /// Plans one sequence of that many tokens under every strategy. The plan says the model, and how the chosen strategy is set.
    pub fn of(plan: &Plan, budget: u64, tokens: u32) -> Self {
        let all = StrategyKind::ALL.map(|kind| {
            let strategy = plan.strategy.of_kind(kind, plan.chunks);
            Mountain::of(&Planned::new(
                plan.objective,
                &plan.spec,
                &BatchShape::uniform(plan.objective.sequences(), tokens),
                strategy,
                Limits::NONE,
            ))
        });
        let highest = all.iter().map(|mountain| mountain.peak).max().unwrap_or(0);
        Mountains { tokens, budget, top: LEAST_TOP.max((highest as f64 * HEADROOM) as u64), all }
    }

    /// The bytes by which a mountain is over the budget.
    pub fn over(&self, mountain: &Mountain) -> Option<u64> {
        mountain.peak.checked_sub(self.budget).filter(|&over| over > 0)
    }

    /// Bytes to name along the y axis: a round number of MiB apart, three to six of them.
    pub fn ticks(&self) -> Vec<u64> {
        Scale::counts(0, self.top >> 20).ticks().iter().map(|&mebibytes| (mebibytes as u64) << 20).collect()
    }
}

impl Mountain {
    fn of(planned: &Planned) -> Self {
        let mut columns = Vec::new();
        let mut start = 0;
        for (pass, width) in PASSES {
            columns.extend(columns_of(planned, pass, start, width));
            start += width;
        }
        columns.reverse();
        // Of equal columns the last one stays, which says where all of them end.
        columns.dedup_by(|before, column| (before.pass, before.parts) == (column.pass, column.parts));
        columns.reverse();
        Mountain { kind: planned.program().strategy.kind, peak: planned.peak_bytes(), columns }
    }

    /// The column at a place, from 0 at the left to 1.
    pub fn at(&self, share: f64) -> &Column {
        let unit = (share * f64::from(WIDTH)) as u32;
        self.columns.iter().find(|column| unit < column.end).or(self.columns.last()).expect("a step has operations")
    }

    /// Where its first highest column lies: the middle of it, from 0 at the left to 1.
    pub fn peak_at(&self) -> f64 {
        let bytes = |column: &Column| column.parts.iter().sum::<u64>();
        let highest = self.columns.iter().map(bytes).max();
        let at = self.columns.iter().position(|column| Some(bytes(column)) == highest).unwrap_or(0);
        let start = at.checked_sub(1).map_or(0, |before| self.columns[before].end);
        f64::from(start + self.columns[at].end) / f64::from(2 * WIDTH)
    }
}

/// A pass from `start` on, in columns of [`COLUMN`] units or of an operation, whichever is wider.
fn columns_of(planned: &Planned, pass: Pass, start: u32, width: u32) -> impl Iterator<Item = Column> {
    let program: &Program = planned.program();
    let turns = program.span(pass..=pass);
    let count = (turns.end - turns.start).clamp(1, u64::from(width / COLUMN));
    let turn_at = move |column: u64| turns.start + (turns.end - turns.start) * column / count;
    let end_of = move |column: u64| start + (u64::from(width) * (column + 1) / count) as u32;
    (0..count).map(move |column| Column { end: end_of(column), pass, parts: *fullest(planned, turn_at(column), turn_at(column + 1)) })
}

/// Bytes of the model, which are there whatever the length of the sequence.
pub fn model_bytes(parts: &Parts) -> u64 {
    Part::ALL.into_iter().filter(|part| part.is_the_models()).map(|part| parts[part as usize]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::form::{Adapter, Form};

    fn mountains(tokens: u32) -> Mountains {
        let form = Form::default();
        Mountains::of(&form.plan(&Adapter::default()).unwrap(), form.budget().unwrap(), tokens)
    }

    fn bytes(column: &Column) -> u64 {
        column.parts.iter().sum()
    }

    #[test]
    fn a_mountain_is_as_high_as_the_plans_peak_and_has_every_pass_in_its_place() {
        for tokens in [64, 512, 5000, 8192, 32_768] {
            for mountain in &mountains(tokens).all {
                assert_eq!(mountain.columns.iter().map(bytes).max(), Some(mountain.peak), "{} {tokens}", mountain.kind);
                assert_eq!(bytes(mountain.at(mountain.peak_at())), mountain.peak, "{} {tokens}", mountain.kind);
                assert!(mountain.columns.windows(2).all(|pair| pair[0].end < pair[1].end));
                assert!(mountain.columns.windows(2).all(|pair| (pair[0].pass, pair[0].parts) != (pair[1].pass, pair[1].parts)));
                let mut end = 0;
                for (pass, width) in PASSES {
                    end += width;
                    let last = mountain.columns.iter().rfind(|column| column.pass == pass).unwrap();
                    assert_eq!(last.end, end, "{} {pass:?}", mountain.kind);
                    assert_eq!(mountain.at((f64::from(end) - 0.5) / f64::from(WIDTH)).pass, pass);
                }
                assert_eq!(mountain.at(1.0).pass, Pass::Update);
            }
        }
    }

    #[test]
    fn the_model_takes_the_same_at_every_length_and_the_rest_grows() {
        let [short, long] = [512, 8192].map(mountains);
        for (short, long) in short.all.iter().zip(&long.all) {
            let model = |mountain: &Mountain| mountain.columns.iter().map(|column| model_bytes(&column.parts)).max();
            assert_eq!(model(short), model(long));
            assert!(short.peak < long.peak);
        }
    }

    #[test]
    fn one_after_the_other_breaks_through_the_budget() {
        let over = |tokens: u32| mountains(tokens).all.each_ref().map(|mountain| mountain.peak > 64 << 20);
        assert_eq!([512, 2048, 8192, 32_768].map(over), [[false; 3], [true, false, false], [true, true, false], [true; 3]]);
    }

    #[test]
    fn the_axis_has_room_for_all_and_round_numbers() {
        for tokens in [512, 8192, 11_264, 20_000, 32_768] {
            let mountains = mountains(tokens);
            assert!(mountains.all.iter().all(|mountain| mountain.peak < mountains.top) && mountains.budget < mountains.top);
            let ticks: Vec<u64> = mountains.ticks().into_iter().map(|bytes| bytes >> 20).collect();
            assert!((3..=6).contains(&ticks.len()) && ticks[0] == 0, "{ticks:?}");
            assert!(
                ticks[1].to_string().trim_end_matches('0').len() == 1 && ticks.windows(2).all(|pair| pair[1] - pair[0] == ticks[1]),
                "{ticks:?}"
            );
        }
    }
}
