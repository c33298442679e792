//! How far each strategy goes: peak bytes over the length of a sequence, where they cross what is allowed, and how that is
//! drawn.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::axis::{Axes, Scale};
use super::question::Question;
use crate::gpu::DeviceSpeed;
use crate::step::{Strategy, StrategyKind};
use crate::train::{FrontierPoint, Network, RankCost};

/// What the page wants of the planner. Of every topic, only the newest counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToPlanner {
    /// What it is about.
    pub topic: Topic,
    /// Goes up with every message.
    pub number: u32,
    /// What is allowed.
    pub question: Question,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Topic {
    /// The chart of the form's model.
    Own,
    /// The chart that is shown, if that is another one.
    Shown,
    /// The strategy with the shortest step for sequences of that length.
    Shortest(u32),
    /// The strategy with the longest sequence.
    Longest,
    /// The time of a step of each strategy for sequences of that length, on a device of that speed, or on several with that network between
    /// them.
    Times(u32, DeviceSpeed, Network),
    /// The frontier of bytes and time for sequences of that length, on a device of that speed.
    Frontier(u32, DeviceSpeed),
}

impl Topic {
    /// The place of times.
    pub const TIMES: usize = 3;
    /// The place of frontiers.
    pub const FRONTIER: usize = 4;
    /// The number of places.
    pub const SLOTS: usize = 5;

    /// Its place among the topics.
    pub fn slot(self) -> usize {
        match self {
            Topic::Own => 0,
            Topic::Shown => 1,
            Topic::Shortest(..) | Topic::Longest => 2,
            Topic::Times(..) => Topic::TIMES,
            Topic::Frontier(..) => Topic::FRONTIER,
        }
    }
}

/// What the planner found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromPlanner {
    /// A chart, with the topic and the number of the message that asked for it.
    Charted(Topic, u32, Chart),
    /// A strategy and the tokens of a sequence, with the number of the message that asked for them. `None` if nothing fits.
    Chosen(u32, Option<(Strategy, u32)>),
    /// Seconds of a step, in the order of [`StrategyKind::ALL`], with the number of the message that asked for them; and what a step of
    /// `stream` takes of each of several machines.
    Timed(u32, [f64; 3], Vec<RankCost>),
    /// A frontier, with the number of the message that asked for it.
    Frontier(u32, Vec<FrontierPoint>),
}

/// The strategies' bytes over the length of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Bytes of weights, gradients and moments.
    pub model_bytes: u64,
    /// The longest sequence on the chart.
    pub end: u32,
    /// A line for each strategy, in the order of [`StrategyKind::ALL`].
    pub lines: Vec<Line>,
}

/// A strategy's bytes over the length of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The strategy.
    pub kind: StrategyKind,
    /// Bytes at some lengths, shortest first. Between them, bytes grow evenly.
    pub points: Vec<(u32, u64)>,
    /// The longest sequence that is allowed. `None` if not even one token is.
    pub longest: Option<u32>,
    /// Is it the device that allows no more, rather than the budget?
    pub by_device: bool,
}

/// The shortest sequence on a chart.
pub const START: u32 = 64;
/// No search goes further.
const MOST_TOKENS: u32 = 1 << 27;

impl Line {
    /// Plans as many lengths as it takes. `end` is the longest; without it, the line goes as far as the search went.
    pub fn plan(question: &Question, kind: StrategyKind, end: Option<u32>) -> Line {
        let mut search = Search { question, kind, machines: question.largest_machines(kind), known: BTreeMap::new() };
        let longest = search.longest();
        let by_device = !search.at(longest.unwrap_or(0) + 1).1;
        let end = end.unwrap_or_else(|| chart_end(longest));
        let powers = (0..).map(|doublings| START << doublings).take_while(|&tokens| tokens <= end);
        powers.flat_map(|tokens| [tokens, tokens + tokens * 53 / 128]).filter(|&tokens| tokens <= end).for_each(|tokens| {
            search.at(tokens);
        });
        let points = search.known.range(START..=end).map(|(&tokens, &(bytes, _))| (tokens, bytes)).collect();
        Line { kind, points, longest, by_device }
    }

    /// The same line in another budget. Its longest sequence is found between the lengths that were planned, and is exact in the budget of
    /// the question.
    pub fn within(&self, budget: u64, question: &Question) -> Line {
        if budget == question.budget {
            return self.clone();
        }
        let (mut fits, mut too_long) = (0, self.end() + 1);
        while too_long - fits > 1 {
            let middle = fits + (too_long - fits) / 2;
            if self.bytes_at(middle) <= budget { fits = middle } else { too_long = middle }
        }
        // Below the first length that was planned nothing is known.
        Line { longest: (fits >= START).then_some(fits), ..self.clone() }
    }

    /// The longest sequence that was planned.
    pub fn end(&self) -> u32 {
        self.points.last().map_or(START, |&(tokens, _)| tokens)
    }

    /// Bytes at a length. Beyond the ends, those of the end.
    pub fn bytes_at(&self, tokens: u32) -> u64 {
        let after = self.points.partition_point(|&(at, _)| at < tokens);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (Some((x0, y0)), Some(&(x1, y1))) => {
                let share = f64::from(tokens - x0) / f64::from(x1 - x0);
                (y0 as f64 + share * (y1 as f64 - y0 as f64)).round() as u64
            }
            (Some((_, bytes)), None) | (None, Some(&(_, bytes))) => bytes,
            (None, None) => 0,
        }
    }
}

/// The end of a chart whose furthest strategy goes that far.
fn chart_end(longest: Option<u32>) -> u32 {
    longest.map_or(1 << 17, |longest| longest.saturating_mul(3).next_power_of_two().clamp(1 << 13, MOST_TOKENS))
}

/// Looks for the longest sequence, and remembers what was planned on the way.
struct Search<'a> {
    question: &'a Question,
    kind: StrategyKind,
    /// Those of which one needs most.
    machines: BTreeSet<u32>,
    /// Bytes at a length, and whether the device could hold them.
    known: BTreeMap<u32, (u64, bool)>,
}

impl Search<'_> {
    fn at(&mut self, tokens: u32) -> (u64, bool) {
        let peak = || self.question.peak_on(self.kind, tokens, self.machines.iter().copied());
        *self.known.entry(tokens).or_insert_with(peak)
    }

    fn fits(&mut self, tokens: u32) -> bool {
        let (bytes, is_possible) = self.at(tokens);
        is_possible && bytes <= self.question.budget
    }

    fn longest(&mut self) -> Option<u32> {
        let most = MOST_TOKENS / self.question.sequences.max(1);
        let (mut fits, mut too_long) = (0, START.min(most));
        while self.fits(too_long) {
            fits = too_long;
            if too_long >= most {
                return Some(fits);
            }
            too_long = (too_long * 2).min(most);
        }
        let mut is_guessed = true;
        while too_long - fits > 1 {
            // Bytes grow evenly over long stretches; but a guess alone could come closer from one side only.
            let middle = if is_guessed { self.guess(fits, too_long) } else { fits + (too_long - fits) / 2 };
            is_guessed = !is_guessed;
            if self.fits(middle) { fits = middle } else { too_long = middle }
        }
        (fits > 0).then_some(fits)
    }

    /// Where the budget is met, were bytes to grow evenly from one length to the other.
    fn guess(&mut self, fits: u32, too_long: u32) -> u32 {
        let (low, high) = (self.at(fits.max(1)).0 as f64, self.at(too_long).0 as f64);
        let share = (self.question.budget as f64 - low) / (high - low).max(1.0);
        (fits + (f64::from(too_long - fits) * share) as u32).clamp(fits + 1, too_long - 1)
    }
}

/// Lengths that have a name along the axis, at most; and bytes.
const MOST_TICKS: [u32; 2] = [6, 7];

/// Axes on which all lines and the budget can be seen, both logarithmic.
pub fn axes(chart: &Chart, budget: u64) -> Axes {
    let bytes = || chart.lines.iter().flat_map(|line| line.points.iter().map(|&(_, bytes)| bytes)).chain([budget]);
    let log = |bytes: Option<u64>| (bytes.unwrap_or(1).max(1) as f64).log2();
    let low = log(bytes().min()).floor();
    let high = (log(bytes().max()) + 0.2).ceil().max(low + 1.0);
    Axes { x: Scale::log2(f64::from(START), f64::from(chart.end), MOST_TICKS[0]), y: Scale::log2(low.exp2(), high.exp2(), MOST_TICKS[1]) }
}

/// A line as an SVG path. Between two points it is bent as an even growth is on these scales.
pub fn path(axes: &Axes, line: &Line) -> String {
    let Some((&first, &last)) = line.points.first().zip(line.points.last()) else { return String::new() };
    let bends = (0..).map(|i| (f64::from(first.0) * (f64::from(i) / 8.0).exp2()) as u32).take_while(|&tokens| tokens < last.0);
    let mut all: Vec<u32> = bends.chain(line.points.iter().map(|&(tokens, _)| tokens)).collect();
    all.sort_unstable();
    all.dedup();
    let place = |tokens: u32| axes.point(f64::from(tokens), line.bytes_at(tokens) as f64);
    format!("M {}", all.into_iter().map(place).collect::<Vec<_>>().join(" "))
}

/// Places of the slider in one doubling of the length.
const PLACES: f64 = 16.0;

/// The place of the slider for a length.
pub fn place_of(tokens: u32) -> u32 {
    (PLACES * (f64::from(tokens.max(START)) / f64::from(START)).log2()).round() as u32
}

/// The length at a place of the slider: to whole tokens at powers of two, to whole eights between.
pub fn tokens_at(place: u32) -> u32 {
    let exact = f64::from(START) * (f64::from(place) / PLACES).exp2();
    (exact / 8.0).round() as u32 * 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;
    use crate::step::{Limits, Objective};
    use crate::train::longest_sequence;
    use crate::web::published::Trainable;

    fn question() -> Question {
        Trainable::All.question(&PRESETS[0], 64 << 20, false)
    }

    #[test]
    fn the_longest_is_what_a_search_length_by_length_finds() {
        for sequences in [1, 3] {
            let question = Question { sequences, ..question() };
            for kind in StrategyKind::ALL {
                let line = Line::plan(&question, kind, None);
                let strategy = Strategy::new(kind, 128, 128);
                assert_eq!(
                    line.longest,
                    longest_sequence(Objective::default(), &question.spec, sequences, strategy, question.budget, Limits::NONE)
                );
                assert!(!line.by_device);
            }
        }
        assert_eq!(Line::plan(&Question { budget: 1000, ..question() }, StrategyKind::Stream, None).longest, None);
    }

    #[test]
    fn a_device_may_allow_less_than_the_budget() {
        let free = Question { budget: 1 << 30, ..question() };
        // The ids of 75,000 tokens.
        let bound = Line::plan(&Question { limits: [1 << 30, 300_000], ..free.clone() }, StrategyKind::Stream, None);
        assert_eq!((bound.by_device, bound.longest), (true, Some(75_000)));
        assert!(Line::plan(&free, StrategyKind::Stream, None).longest > bound.longest);
    }

    #[test]
    fn between_two_points_a_line_is_right_to_two_percent() {
        let question = question();
        for kind in StrategyKind::ALL {
            let line = Line::plan(&question, kind, Some(1 << 15));
            for tokens in [64, 100, 333, 1000, 5000, 20_000, 32_768] {
                let exact = question.peak(kind, tokens).0 as f64;
                let off = (line.bytes_at(tokens) as f64 - exact).abs() / exact;
                assert!(off < 0.02, "{kind} at {tokens}: {off}");
            }
        }
    }

    #[test]
    fn in_another_budget_a_line_goes_as_far_as_its_bytes_say() {
        let question = question();
        for kind in StrategyKind::ALL {
            let line = Line::plan(&question, kind, Some(1 << 15));
            assert_eq!(line.within(question.budget, &question), line);
            let other = Question { budget: 32 << 20, ..question.clone() };
            let (exact, about) =
                (Line::plan(&other, kind, Some(1 << 15)).longest.unwrap(), line.within(32 << 20, &question).longest.unwrap());
            assert!(exact.abs_diff(about) <= exact / 25, "{kind}: {about} of {exact}");
            assert_eq!(line.within(1, &question).longest, None);
        }
    }

    #[test]
    fn a_chart_holds_its_lines() {
        let lines: Vec<Line> = StrategyKind::ALL.map(|kind| Line::plan(&question(), kind, Some(1 << 14))).into();
        let chart = Chart { model_bytes: 0, end: 1 << 14, lines };
        let axes = axes(&chart, 64 << 20);
        assert_eq!([64.0, f64::from(1 << 14), 1024.0].map(|tokens| axes.left(tokens)), [0.0, 100.0, 50.0]);
        for &(_, bytes) in chart.lines.iter().flat_map(|line| &line.points) {
            assert!(axes.top(bytes as f64) > 0.0 && axes.top(bytes as f64) <= 100.0);
        }
        assert!((3..=7).contains(&axes.y.ticks().len()) && (3..=6).contains(&axes.x.ticks().len()));
        assert!(path(&axes, &chart.lines[0]).starts_with("M 0.0,"));
    }

    #[test]
    fn the_slider_knows_powers_of_two() {
        for doublings in 0..20 {
            assert_eq!(tokens_at(place_of(START << doublings)), START << doublings);
        }
    }
}
