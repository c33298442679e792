//! Bytes alive through a step, turn by turn.

use super::part::{Part, Parts};
use super::planned::{Planned, moment};
use crate::step::{Pass, ProgramPoint};

/// A step from its first turn to its last. Where a step has more turns than a picture has room for, a column stands for
/// several and shows the fullest.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The columns, each as wide as it has turns.
    pub columns: Vec<Column>,
    /// Turns of the step.
    pub turns: u64,
    /// The first turn at which the most bytes are alive.
    pub peak: u64,
    /// The passes, each with its first turn.
    pub passes: Vec<(Pass, u64)>,
}

/// Some turns that follow one another.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The first of them.
    pub start: u64,
    /// Bytes at the fullest of them.
    pub parts: Parts,
}

/// Units of the picture's height.
pub const HEIGHT: f64 = 1000.0;
/// Columns of a picture, at most.
const MOST_COLUMNS: u64 = 1200;

impl Timeline {
    /// Reads the timeline off a plan.
    pub fn of(planned: &Planned) -> Self {
        let program = &planned.program();
        let turns = program.instance_count();
        let width = turns.div_ceil(MOST_COLUMNS).max(1);
        let column = |start: u64| Column { start, parts: *fullest(planned, start, (start + width).min(turns)) };
        let mut columns: Vec<Column> = (0..turns).step_by(width as usize).map(column).collect();
        columns.dedup_by(|next, column| next.parts == column.parts);
        let mut passes: Vec<Pass> = program.blocks.iter().map(|block| block.pass).collect();
        passes.dedup();
        let passes = passes.into_iter().map(|pass| (pass, program.span(pass..=pass).start)).collect();
        Timeline { columns, turns, peak: planned.peak_turn(), passes }
    }

    /// The same without what is there whatever the length of the sequence.
    pub fn without_model(&self) -> Self {
        let mut timeline = self.clone();
        for column in &mut timeline.columns {
            Part::ALL.into_iter().filter(|part| part.is_the_models()).for_each(|part| column.parts[part as usize] = 0);
        }
        timeline
    }

    /// The most bytes that are alive at once.
    pub fn most(&self) -> u64 {
        self.columns.iter().map(|column| column.parts.iter().sum()).max().unwrap_or(0)
    }

    /// The outline of a part's area as an SVG path: one unit wide for each turn, [`HEIGHT`] high for `most` bytes.
    pub fn area(&self, part: Part, most: u64) -> String {
        let scale = HEIGHT / most.max(1) as f64;
        let y = |bytes: u64| HEIGHT - bytes as f64 * scale;
        let below = |parts: &Parts| parts[..part as usize].iter().sum::<u64>();
        let ends = self.columns.iter().skip(1).map(|column| column.start).chain([self.turns]);
        let spans: Vec<(u64, u64, f64, f64)> = self
            .columns
            .iter()
            .zip(ends)
            .map(|(column, end)| {
                let bottom = below(&column.parts);
                (column.start, end, y(bottom + column.parts[part as usize]), y(bottom))
            })
            .collect();
        let tops = spans.iter().map(|(start, end, top, _)| format!("{start},{top:.1} {end},{top:.1}"));
        let bottoms = spans.iter().rev().map(|(start, end, _, bottom)| format!("{end},{bottom:.1} {start},{bottom:.1}"));
        format!("M {} Z", tops.chain(bottoms).collect::<Vec<_>>().join(" "))
    }

    /// The turns of a pass.
    pub fn span(&self, pass: Pass) -> Option<(u64, u64)> {
        let index = self.passes.iter().position(|&(p, _)| p == pass)?;
        Some((self.passes[index].1, self.passes.get(index + 1).map_or(self.turns, |&(_, start)| start)))
    }

    /// The most bytes that are alive during a pass.
    pub fn most_during(&self, pass: Pass) -> u64 {
        let Some((start, end)) = self.span(pass) else { return 0 };
        let ends = self.columns.iter().skip(1).map(|column| column.start).chain([self.turns]);
        let inside = self.columns.iter().zip(ends).filter(|(column, until)| column.start < end && *until > start);
        inside.map(|(column, _)| column.parts.iter().sum()).max().unwrap_or(0)
    }
}

/// The fullest moment of some turns. Every chunk of a block has the same moments, so none is looked at twice.
pub(super) fn fullest(planned: &Planned, start: u64, end: u64) -> &Parts {
    let bytes = |m: ProgramPoint| planned.parts(m);
    let mut best: Option<&Parts> = None;
    let mut number = start;
    while number < end {
        let turn = planned.program().instance(number);
        let (block, tokens) = (&planned.program().blocks[turn.block], planned.program().tokens());
        let block_end = planned.program().instance_number(crate::step::OpInstance {
            node: block.nodes.len() - 1,
            chunk: block.chunk_order.chunks(tokens).last().expect("a batch has a token"),
            ..turn
        }) + 1;
        let here = (end.min(block_end) - number).min(block.instances_of_all(tokens));
        for at in number..number + here {
            let parts = bytes(moment(planned.program().instance(at)));
            if best.is_none_or(|best| best.iter().sum::<u64>() < parts.iter().sum()) {
                best = Some(parts);
            }
        }
        number = end.min(block_end);
    }
    best.expect("a column has a turn")
}

#[cfg(test)]
mod tests {
    use super::super::planned::tests::{planned, with_roll_out, with_windows};
    use super::*;
    use crate::step::StrategyKind;

    #[test]
    fn the_peak_is_the_plans_and_the_passes_are_in_order() {
        // The last has more turns than columns.
        for seq_len in [1, 1000, 20_000] {
            let strategies = StrategyKind::ALL.map(|kind| planned(kind, seq_len));
            for planned in strategies.into_iter().chain([with_windows(seq_len)]) {
                let kind = planned.program().strategy.kind;
                let timeline = Timeline::of(&planned);
                let most = planned.peak_bytes() - planned.plan.unused_bytes();
                assert_eq!(timeline.most(), most);
                assert!(timeline.without_model().most() < most);
                let sums = || timeline.columns.iter().map(|column| column.parts.iter().sum::<u64>());
                assert_eq!(sums().max(), Some(most));
                let at = timeline.columns.iter().rposition(|column| column.start <= timeline.peak).unwrap();
                assert_eq!(sums().nth(at), Some(most), "{kind} {seq_len}");
                let passes: Vec<Pass> = timeline.passes.iter().map(|&(pass, _)| pass).collect();
                assert_eq!(passes, [Pass::Clear, Pass::Forward, Pass::Loss, Pass::Backward, Pass::Update]);
                assert_eq!(passes.iter().map(|&pass| timeline.most_during(pass)).max(), Some(most));
                assert!(timeline.columns.len() as u64 <= MOST_COLUMNS);
            }
        }
    }

    #[test]
    fn the_roll_out_stands_behind_the_step() {
        let planned = with_roll_out(300);
        let timeline = Timeline::of(&planned);
        assert_eq!(timeline.passes.last().map(|&(pass, _)| pass), Some(Pass::RollOut));
        assert_eq!(timeline.span(Pass::RollOut), Some((planned.program().span(Pass::STEP).end, timeline.turns)));
        assert!(timeline.most_during(Pass::RollOut) > 0);
    }

    #[test]
    fn an_area_goes_along_its_top_and_back_along_its_bottom() {
        let mut parts = [0; Part::ALL.len()];
        (parts[0], parts[1]) = (30, 10);
        let timeline = Timeline { columns: vec![Column { start: 0, parts }], turns: 7, peak: 0, passes: vec![(Pass::Clear, 0)] };
        assert_eq!(timeline.area(Part::Gradients, 40), "M 0,0.0 7,0.0 7,250.0 0,250.0 Z");
        assert_eq!(timeline.area(Part::Gradients, 80), "M 0,500.0 7,500.0 7,625.0 0,625.0 Z");
    }
}
