//! The chunk length of `stream`: a number of tokens, or `auto`.
//!
//! Short chunks need little memory, but each reads all weights and starts all dispatches again, and few workgroups leave a GPU half idle.
//! `auto` takes chunks that are just long enough to keep the adapter busy.

use std::fmt;
use std::str::FromStr;

use super::planner::fits;
use crate::error::Error;
use crate::gpu::{DeviceSpeed, Predictor};
use crate::model::ModelSpec;
use crate::step::{BatchShape, LONGEST_CHUNK, Limits, Objective, Program, Strategy, TOKEN_TILE};

/// A chunk length, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ChunkLength {
    /// See [`auto_chunk`].
    Auto,
    /// That many tokens.
    Tokens(u32),
}

impl ChunkLength {
    /// The tokens, or for `auto` those that `choose` chooses, with the choice.
    pub fn resolve(self, choose: impl FnOnce() -> AutoChunk) -> (u32, Option<AutoChunk>) {
        match self {
            ChunkLength::Auto => {
                let auto = choose();
                (auto.chunk, Some(auto))
            }
            ChunkLength::Tokens(tokens) => (tokens, None),
        }
    }

    /// The tokens, or for `auto` those that were chosen.
    pub fn or(self, chosen: u32) -> u32 {
        if let ChunkLength::Tokens(tokens) = self { tokens } else { chosen }
    }
}

impl fmt::Display for ChunkLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChunkLength::Auto => f.pad("auto"),
            ChunkLength::Tokens(tokens) => tokens.fmt(f),
        }
    }
}

impl FromStr for ChunkLength {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let tokens = || text.parse().ok().filter(|&tokens| tokens > 0).map(ChunkLength::Tokens);
        let what = || Error::Setting(format!("\"{text}\" is no chunk length; it must be 1 or more tokens, or auto"));
        if text == "auto" { Ok(ChunkLength::Auto) } else { tokens().ok_or_else(what) }
    }
}

/// The chunk length that `auto` has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoChunk {
    /// In tokens.
    pub chunk: u32,
    /// Why it is not longer.
    pub bound: ChunkBound,
}

/// Why `auto` takes no longer chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkBound {
    /// The adapter is busy with these: longer ones would shorten a step by a fiftieth at most.
    Adapter,
    /// These are a quarter of a batch that is short, or of the least length. Its step takes little time anyway, and with fewer chunks it would need hardly less
    /// memory than with `checkpoint`.
    Batch,
    /// `auto` takes none that are longer than [`LONGEST_CHUNK`] tokens.
    Most,
    /// Longer ones are over the budget, or more than the adapter can bind.
    Budget,
}

/// The shortest one, in tokens, where memory allows it.
const LEAST: u32 = 128;
/// Chunks of a short batch, at least. Short is what is shorter than two of the longest chunks.
const FEWEST_CHUNKS: u32 = 4;
/// By how much a step may be longer than the shortest.
const SLOWER: f64 = 1.02;

/// Are there several chunk lengths between which the speed of the adapter decides?
pub fn auto_chunk_needs_speed(tokens: u32) -> bool {
    auto_chunks(tokens).1.len() > 1
}

/// The chunk length that `auto` takes: the shortest with which a step takes hardly longer than with any other, as far as the adapter's
/// speed predicts it; and a shorter one where the peak would be over `budget`. `strategy` gives the strategy with chunks of some length.
pub fn auto_chunk(
    objective: Objective,
    spec: &ModelSpec,
    shape: &BatchShape,
    strategy: impl Fn(u32) -> Strategy,
    budget: u64,
    limits: Limits,
    speed: &DeviceSpeed,
) -> AutoChunk {
    let (bound, lengths) = auto_chunks(shape.tokens());
    let mut predictor = Predictor::new(*speed);
    let mut seconds = |chunk: u32| {
        predictor.step_seconds(&Program::train_for(objective, spec, shape.clone(), strategy(chunk).with_adaptive_chunks(false)))
    };
    let mut auto = AutoChunk { chunk: lengths[0], bound };
    if lengths.len() > 1 {
        let mut shortest = seconds(auto.chunk);
        for &chunk in &lengths[1..] {
            let of_step = seconds(chunk);
            shortest = shortest.min(of_step);
            if of_step > SLOWER * shortest {
                break;
            }
            auto = AutoChunk { chunk, bound: ChunkBound::Adapter };
        }
    }
    let fits = |chunk: u32| fits(objective, spec, shape, strategy(chunk), budget, limits);
    if fits(auto.chunk) {
        return auto;
    }
    // Where a tile is too much, so is everything else.
    let shorter = if fits(TOKEN_TILE) { lengths } else { Vec::new() };
    let longest = shorter.into_iter().find(|&chunk| chunk < auto.chunk && fits(chunk));
    AutoChunk { chunk: longest.unwrap_or(TOKEN_TILE), bound: ChunkBound::Budget }
}

/// The chunk lengths between which the adapter decides, the longest first, and why none is longer.
fn auto_chunks(tokens: u32) -> (ChunkBound, Vec<u32>) {
    let is_short = tokens < 2 * LONGEST_CHUNK;
    let (bound, most) = if is_short { (ChunkBound::Batch, (tokens / FEWEST_CHUNKS).max(LEAST)) } else { (ChunkBound::Most, LONGEST_CHUNK) };
    let lengths = (0..).map(|doublings| LEAST << doublings).take_while(|&chunk| chunk <= most);
    let mut lengths: Vec<u32> = lengths.collect();
    lengths.reverse();
    (bound, lengths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Ceilings, DeviceClass};
    use crate::model::PRESETS;
    use crate::step::Plan;

    /// The time of a step with chunks of that length, in seconds.
    fn seconds(speed: &DeviceSpeed, spec: &ModelSpec, shape: &BatchShape, strategy: Strategy) -> f64 {
        let plan = Plan::new(Program::train(spec, shape.clone(), strategy), Limits::NONE).unwrap();
        speed.step_seconds(plan.program())
    }

    fn auto(spec: &ModelSpec, shape: &BatchShape, budget: u64, speed: &DeviceSpeed) -> AutoChunk {
        auto_chunk(Objective::CrossEntropy, spec, shape, |chunk| Strategy::stream(chunk, chunk), budget, Limits::NONE, speed)
    }

    #[test]
    fn auto_is_about_as_fast_as_the_fastest() {
        let lavapipe =
            Ceilings { gflops: 123.0, gigabytes_per_second: 10.0, dispatch_seconds: 32e-6, workgroup_gflops: 61.0, is_cpu: true };
        let classes = DeviceClass::ALL.map(|class| (class.name, class.ceilings));
        for (name, ceilings) in classes.into_iter().chain([("two cores", lavapipe)]) {
            let speed = DeviceSpeed::from(ceilings);
            for (preset, tokens) in PRESETS.iter().flat_map(|preset| [4096, 16_384].map(|tokens| (preset, tokens))) {
                let (spec, shape) = (ModelSpec::from(&preset.config), BatchShape::uniform(1, tokens));
                for is_adaptive in [false, true] {
                    let of = |chunk| seconds(&speed, &spec, &shape, Strategy::stream(chunk, chunk).with_adaptive_chunks(is_adaptive));
                    let best = (0..6).map(|doublings| of(TOKEN_TILE << doublings)).fold(f64::INFINITY, f64::min);
                    let taken = auto(&spec, &shape, u64::MAX, &speed);
                    assert!(of(taken.chunk) <= 1.05 * best, "{name}, {} of {tokens} tokens: {taken:?}", preset.name);
                }
            }
        }
    }

    #[test]
    fn auto_is_as_long_as_the_adapter_the_batch_and_the_budget_ask() {
        let spec = ModelSpec::from(&PRESETS[0].config);
        let [fast, .., slow] = DeviceClass::ALL.map(|class| class.speed());
        let slow = DeviceSpeed { dispatch_seconds: 1e-9, flops: slow.flops / 100.0, ..slow };
        let of = |tokens, speed| auto(&spec, &BatchShape::uniform(1, tokens), u64::MAX, speed);
        assert_eq!(of(16_384, &fast), AutoChunk { chunk: 2048, bound: ChunkBound::Most });
        assert_eq!(of(16_384, &slow), AutoChunk { chunk: 128, bound: ChunkBound::Adapter });
        for (tokens, chunk) in [(1, 128), (512, 128), (1024, 256), (4095, 512)] {
            assert_eq!(of(tokens, &fast), AutoChunk { chunk, bound: ChunkBound::Batch }, "{tokens}");
        }
        assert_eq!([1, 1023, 1024].map(auto_chunk_needs_speed), [false, false, true]);

        let shape = BatchShape::uniform(1, 16_384);
        let peak =
            |chunk| Plan::new(Program::train(&spec, shape.clone(), Strategy::stream(chunk, chunk)), Limits::NONE).unwrap().peak_bytes();
        for (budget, chunk) in [(peak(1024), 1024), (peak(1024) - 1, 512), (peak(64), 64), (peak(64) - 1, 64)] {
            assert_eq!(auto(&spec, &shape, budget, &fast), AutoChunk { chunk, bound: ChunkBound::Budget }, "{budget}");
        }
    }

    #[test]
    fn a_chunk_length_is_a_number_or_auto() {
        for text in ["auto", "1", "4294967295"] {
            assert_eq!(text.parse::<ChunkLength>().unwrap().to_string(), text);
        }
        for text in ["0", "-1", "Auto", "1.5", "", "4294967296"] {
            assert!(text.parse::<ChunkLength>().unwrap_err().to_string().contains("1 or more tokens, or auto"), "{text}");
        }
    }
}
