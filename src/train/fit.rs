//! What fits into a budget, and what to do about what does not.

use crate::error::{Error, Result};
use crate::model::Config;
use crate::step::{BatchShape, Limits, Memory, Program, Strategy, StrategyKind, TOKEN_TILE};

/// Does a training step of that shape fit into so many bytes on a device with those limits? The plan, if it does.
///
/// # Errors
/// [`Error::OverBudget`] says by how much it does not, and what would fit; [`Error::BindingTooLarge`].
pub fn within_budget(config: &Config, shape: &BatchShape, strategy: Strategy, budget: u64, limits: Limits) -> Result<Memory> {
    let memory = Memory::plan(&Program::train(config, shape.clone(), strategy), limits)?;
    if memory.peak_bytes() <= budget {
        return Ok(memory);
    }
    let sequences = shape.lengths().len() as u32;
    Err(Error::OverBudget { needed: memory.peak_bytes(), budget, remedy: remedy(config, sequences, shape.longest(), strategy, budget) })
}

fn remedy(config: &Config, sequences: u32, seq_len: u32, strategy: Strategy, budget: u64) -> String {
    let shape = BatchShape::uniform(sequences, seq_len);
    let fits = |chunk| peak(config, &shape, Strategy::stream(chunk, chunk)) <= budget;
    let now = if strategy.kind == StrategyKind::Stream { strategy.chunk(shape.tokens()) } else { u32::MAX };
    let chunks = (0..8).rev().map(|doublings| TOKEN_TILE << doublings);
    if let Some(chunk) = chunks.filter(|&chunk| chunk < now && chunk < shape.tokens()).find(|&chunk| fits(chunk)) {
        return format!("the strategy stream with chunks of {chunk} tokens fits");
    }
    match longest_sequence(config, sequences, Strategy::stream(TOKEN_TILE, TOKEN_TILE), budget) {
        Some(longest) => format!("the strategy stream with chunks of {TOKEN_TILE} fits up to {longest} tokens a sequence"),
        None => "no sequence of this model fits: take a smaller model".to_owned(),
    }
}

/// The longest sequence whose training step fits into so many bytes. `None` if not even one token does.
pub fn longest_sequence(config: &Config, sequences: u32, strategy: Strategy, budget: u64) -> Option<u32> {
    let fits = |seq_len: u32| peak(config, &BatchShape::uniform(sequences, seq_len), strategy) <= budget;
    let most = (1u32 << 30) / sequences.max(1);
    let mut too_long = 1;
    while too_long <= most && fits(too_long) {
        too_long *= 2;
    }
    let (mut longest, mut too_long) = (too_long / 2, too_long.min(most + 1));
    while too_long - longest > 1 {
        let middle = longest + (too_long - longest) / 2;
        if fits(middle) { longest = middle } else { too_long = middle }
    }
    (longest > 0).then_some(longest)
}

fn peak(config: &Config, shape: &BatchShape, strategy: Strategy) -> u64 {
    let memory = Memory::plan(&Program::train(config, shape.clone(), strategy), Limits::NONE);
    memory.expect("without limits every plan can be made").peak_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;

    #[test]
    fn one_token_more_than_the_longest_does_not_fit() {
        let config = &PRESETS[0].config;
        for strategy in [Strategy::STANDARD, Strategy::stream(128, 128)] {
            let budget = 64 << 20;
            let longest = longest_sequence(config, 2, strategy, budget).unwrap();
            assert!(peak(config, &BatchShape::uniform(2, longest), strategy) <= budget);
            assert!(peak(config, &BatchShape::uniform(2, longest + 1), strategy) > budget);
        }
        assert_eq!(longest_sequence(config, 1, Strategy::STANDARD, 1000), None);
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let config = &PRESETS[0].config;
        let shape = BatchShape::uniform(1, 8192);
        let error = within_budget(config, &shape, Strategy::STANDARD, 64 << 20, Limits::NONE).unwrap_err().to_string();
        assert!(error.contains("stream with chunks of"), "{error}");
    }
}
