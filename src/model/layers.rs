//! A selection of layers.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Some layers of a model, in ascending order. As text: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layers(Vec<u32>);

/// A layer that no model has.
const LIMIT: u32 = 1 << 16;

impl Layers {
    /// Is the layer one of them?
    pub fn contains(&self, layer: u32) -> bool {
        self.0.binary_search(&layer).is_ok()
    }

    /// The layers, in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> {
        self.0.iter().copied()
    }

    /// The highest layer; `None` if there are no layers.
    pub fn last(&self) -> Option<u32> {
        self.0.last().copied()
    }
}

impl FromIterator<u32> for Layers {
    fn from_iter<I: IntoIterator<Item = u32>>(layers: I) -> Self {
        let mut layers: Vec<u32> = layers.into_iter().collect();
        layers.sort_unstable();
        layers.dedup();
        Layers(layers)
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|layer, next| layer + 1 == *next);
        let words = runs.map(|run| match run {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => unreachable!("a run has a layer"),
        });
        f.write_str(&words.collect::<Vec<String>>().join(","))
    }
}

impl FromStr for Layers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let range = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let [first, last] = [first, last].map(|number| number.trim().parse::<u32>().ok().filter(|&layer| layer < LIMIT));
            Some(first?..=last?).filter(|range| !range.is_empty())
        };
        let ranges = text
            .split(',')
            .map(|word| range(word).ok_or_else(|| Error::Setting(format!("\"{}\" names no layers; write them as 0-3,8", word.trim()))));
        Ok(ranges.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, layers) in [("3", &[3][..]), ("0-3,8", &[0, 1, 2, 3, 8]), ("1,3,5-6", &[1, 3, 5, 6])] {
            let expected: Layers = layers.iter().copied().collect();
            assert_eq!(expected.to_string(), text);
            assert_eq!(text.parse::<Layers>().unwrap(), expected);
        }
        assert_eq!(" 2 , 0 - 1,1".parse::<Layers>().unwrap().to_string(), "0-2");
        for wrong in ["", "a", "3-1", "-1", "1-", "0-4294967295"] {
            assert!(wrong.parse::<Layers>().unwrap_err().to_string().contains("0-3,8"), "{wrong}");
        }
    }
}
