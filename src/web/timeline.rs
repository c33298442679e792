//! Bytes alive at each operation of a step.

use super::picture::{Part, Parts, parts_at};
use crate::step::{Memory, Pass, Program};

/// A step from its first operation to its last. What is repeated for each chunk is there once.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// An entry for each operation.
    pub moments: Vec<Parts>,
    /// Where the most bytes are alive for the first time.
    pub peak: usize,
    /// The parts of the step, each with its first operation.
    pub passes: Vec<(Pass, usize)>,
}

/// Units of the picture's height.
pub const HEIGHT: f64 = 1000.0;

impl Timeline {
    /// Reads the timeline off a program's memory.
    pub fn of(program: &Program, memory: &Memory) -> Self {
        let moments = memory.moments();
        let peak = moments.iter().position(|&moment| moment == memory.peak()).expect("the peak is a moment");
        let mut passes: Vec<(Pass, usize)> = Vec::new();
        for (at, moment) in moments.iter().enumerate() {
            let pass = program.blocks[moment.block].pass;
            if passes.last().is_none_or(|&(last, _)| last != pass) {
                passes.push((pass, at));
            }
        }
        Timeline { moments: moments.iter().map(|&moment| parts_at(program, memory, moment)).collect(), peak, passes }
    }

    /// The most bytes that are alive at once.
    pub fn most(&self) -> u64 {
        self.moments[self.peak].iter().sum()
    }

    /// The outline of a part's area as an SVG path: one unit wide for each operation, [`HEIGHT`] high for the peak.
    pub fn area(&self, part: Part) -> String {
        let scale = HEIGHT / self.most().max(1) as f64;
        let y = |bytes: u64| HEIGHT - bytes as f64 * scale;
        let below = |parts: &Parts| parts[..part as usize].iter().sum::<u64>();
        let mut path = String::from("M");
        for (x, parts) in self.moments.iter().enumerate() {
            let top = y(below(parts) + parts[part as usize]);
            path += &format!(" {x},{top:.1} {},{top:.1}", x + 1);
        }
        for (x, parts) in self.moments.iter().enumerate().rev() {
            let bottom = y(below(parts));
            path += &format!(" {},{bottom:.1} {x},{bottom:.1}", x + 1);
        }
        path + "Z"
    }

    /// The most bytes that are alive during a part of the step.
    pub fn most_during(&self, pass: Pass) -> u64 {
        let start = self.passes.iter().position(|&(p, _)| p == pass);
        let Some(index) = start else { return 0 };
        let end = self.passes.get(index + 1).map_or(self.moments.len(), |&(_, at)| at);
        self.moments[self.passes[index].1..end].iter().map(|parts| parts.iter().sum()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Limits, StrategyKind};
    use crate::web::picture::Picture;
    use crate::web::picture::tests::plan;

    #[test]
    fn the_peak_is_the_bars_and_the_passes_are_in_order() {
        for kind in StrategyKind::ALL {
            let picture = Picture::of(&plan(kind), Limits::NONE);
            let (bar, timeline) = (picture.chosen_bar(), &picture.timeline);
            assert_eq!(timeline.most() + bar.unused, bar.peak_bytes);
            assert!(timeline.moments.iter().all(|parts| parts.iter().sum::<u64>() <= timeline.most()));
            let passes: Vec<Pass> = timeline.passes.iter().map(|&(pass, _)| pass).collect();
            assert_eq!(passes, [Pass::Clear, Pass::Forward, Pass::Loss, Pass::Backward, Pass::Update]);
            assert_eq!(passes.iter().map(|&pass| timeline.most_during(pass)).max(), Some(timeline.most()));
        }
    }

    #[test]
    fn an_area_goes_along_its_top_and_back_along_its_bottom() {
        let mut parts = [0; Part::ALL.len()];
        (parts[0], parts[1]) = (30, 10);
        let timeline = Timeline { moments: vec![parts], peak: 0, passes: vec![(Pass::Clear, 0)] };
        assert_eq!(timeline.area(Part::Gradients), "M 0,0.0 1,0.0 1,250.0 0,250.0Z");
    }
}
