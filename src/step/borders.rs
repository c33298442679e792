//! Borders between ranks that take about equally long.

use super::batch::BatchShape;
use super::tensor::TOKEN_TILE;
use crate::error::{Error, Result};
use crate::model::{ModelSpec, Parameters};

/// Floating-point operations of a step for each multiplication of a parameter with a token, and for each element of a query that sees a key:
/// forward, recomputation and backward.
const FLOPS_PER_PARAMETER: f64 = 8.0;
const FLOPS_PER_PAIR_ELEMENT: f64 = 18.0;

/// Borders between ranks that take about equally long. Late tokens of a sequence see more keys, so ranks that hold them hold fewer; `shares`,
/// if given, says how much of the work each rank does, in proportion.
///
/// # Errors
/// [`Error::Setting`] if there are fewer token tiles than ranks, or another number of shares, or a share of nothing.
pub fn borders(spec: &ModelSpec, shape: &BatchShape, ranks: u32, shares: &[u32]) -> Result<Vec<u32>> {
    let (tokens, tiles) = (shape.tokens(), shape.tokens().div_ceil(TOKEN_TILE));
    if tiles < ranks {
        return Err(Error::Setting(format!(
            "{tokens} tokens of a batch are {tiles} tiles of {TOKEN_TILE}, too few for {ranks} ranks; start fewer ranks, or take longer sequences"
        )));
    }
    if !shares.is_empty() && (shares.len() != ranks as usize || shares.contains(&0)) {
        return Err(Error::Setting(format!("--token-shares must have a number above 0 for each of the {ranks} ranks, as 1,1,2")));
    }
    let (of_token, of_pair) = work(spec);
    let pairs_of_layers = |end: u32| -> f64 {
        (0..spec.config.num_hidden_layers).map(|layer| shape.visible_pairs(0..end, spec.config.window(layer)) as f64).sum()
    };
    let work_up_to = |tile: u32| {
        let end = (tile * TOKEN_TILE).min(tokens);
        of_token * f64::from(end) + of_pair * pairs_of_layers(end)
    };
    let share = |rank: u32| shares.get(rank as usize).copied().map_or(1.0, f64::from);
    let all_shares: f64 = (0..ranks).map(share).sum();
    let mut borders = vec![0];
    let mut done = 0.0;
    for rank in 0..ranks - 1 {
        done += share(rank) / all_shares;
        // Each rank has a tile, and leaves one for each that follows.
        let (mut least, mut most) = (borders[rank as usize] / TOKEN_TILE + 1, tiles - (ranks - 1 - rank));
        while least < most {
            let middle = least.midpoint(most);
            if work_up_to(middle) < done * work_up_to(tiles) { least = middle + 1 } else { most = middle }
        }
        borders.push(least * TOKEN_TILE);
    }
    borders.push(tokens);
    Ok(borders)
}

/// The floating-point operations of a step for each token, and for each pair of a query and a key that it sees.
fn work(spec: &ModelSpec) -> (f64, f64) {
    let config = &spec.config;
    let matrices: f64 = Parameters::new(spec).iter().filter(|(_, p)| p.rows.is_some()).map(|(_, p)| p.elements() as f64).sum();
    let elements = f64::from(config.num_attention_heads) * f64::from(config.head_dim);
    (FLOPS_PER_PARAMETER * matrices, FLOPS_PER_PAIR_ELEMENT * elements)
}

#[cfg(test)]
mod tests {
    use super::super::split::Split;
    use super::*;
    use crate::model::PRESETS;

    #[test]
    fn late_tokens_are_dearer() {
        let (spec, shape) = (ModelSpec::from(&PRESETS[0].config), BatchShape::uniform(1, 100_000));
        let borders_of = |ranks, shares: &[u32]| borders(&spec, &shape, ranks, shares).unwrap();
        let lengths = |borders: &[u32]| borders.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<u32>>();
        let even = lengths(&borders_of(4, &[]));
        assert!(even.is_sorted_by(|a, b| a > b) && even.iter().sum::<u32>() == 100_000, "{even:?}");
        let [first, second] = lengths(&borders_of(2, &[1, 3]))[..] else { panic!("two ranks") };
        assert!(first < second);
        assert_eq!(borders_of(1, &[]), [0, 100_000]);
    }

    #[test]
    fn every_rank_has_a_tile() {
        let spec = ModelSpec::from(&PRESETS[0].config);
        for (tokens, ranks) in [(129, 3), (320, 5), (64, 1), (1000, 8)] {
            Split::new(ranks - 1, borders(&spec, &BatchShape::uniform(1, tokens), ranks, &[]).unwrap());
            Split::new(0, borders(&spec, &BatchShape::uniform(1, tokens), ranks, &vec![1; ranks as usize]).unwrap());
        }
        let refused = |tokens, shares: &[u32]| borders(&spec, &BatchShape::uniform(1, tokens), 3, shares).unwrap_err().to_string();
        assert!(refused(128, &[]).contains("too few for 3 ranks"));
        assert!(refused(1000, &[1, 2]).contains("--token-shares") && refused(1000, &[1, 0, 2]).contains("--token-shares"));
    }
}
