//! The frequencies of the rotary embedding, and their scaling for long sequences.

use std::f64::consts::TAU;

/// A rotary embedding (Su et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// The scaling of the frequencies.
    pub scaling: RopeScaling,
}

/// The scaling of the frequencies of a rotary embedding, as in Hugging Face's `rope_scaling`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum RopeScaling {
    /// No scaling.
    None,
    /// All frequencies are divided by the factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// The base grows with the length of sequences beyond max_position_embeddings (dynamic NTK).
    Dynamic {
        /// How much it grows.
        factor: f64,
    },
    /// Low frequencies are divided by the factor, high ones are not, and in between the two are interpolated.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Frequencies with fewer rotations than this over the original length are low.
        low_freq_factor: f64,
        /// Frequencies with more rotations than this over the original length are high.
        high_freq_factor: f64,
        /// The original sequence length of the model, in tokens.
        original_max_position_embeddings: f64,
    },
    /// The same with a ramp over the pairs of a head, and cosines and sines multiplied by a factor (Peng et al. 2023).
    Yarn {
        /// The divisor of low frequencies.
        factor: f64,
        /// The original sequence length of the model, in tokens.
        original_max_position_embeddings: f64,
        /// The factor of cosines and sines.
        attention_factor: f64,
        /// Pairs with more rotations than this over the original length are not divided.
        beta_fast: f64,
        /// Pairs with fewer rotations than this over the original length are divided by the whole factor.
        beta_slow: f64,
        /// Does the ramp begin and end at whole pairs?
        truncate: bool,
    },
}

impl Rope {
    /// A rotary embedding without scaling.
    pub const fn plain(theta: f64) -> Self {
        Rope { theta, scaling: RopeScaling::None }
    }

    /// The frequency of each pair of a head, in radians per position (E/2), for sequences of `seq_len` tokens.
    pub fn frequencies(&self, head_dim: u32, seq_len: u32, max_position_embeddings: u32) -> Vec<f64> {
        let width = f64::from(head_dim);
        let theta = match self.scaling {
            RopeScaling::Dynamic { factor } => {
                let length = f64::from(seq_len.max(max_position_embeddings)) / f64::from(max_position_embeddings);
                self.theta * (factor * length - (factor - 1.0)).powf(width / (width - 2.0))
            }
            _ => self.theta,
        };
        let frequency = |pair: u32| theta.powf(-f64::from(2 * pair) / width);
        (0..head_dim / 2).map(|pair| self.scaled(frequency(pair), pair, head_dim)).collect()
    }

    /// The factor of cosines and sines.
    pub fn attention_factor(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { attention_factor, .. } => attention_factor,
            _ => 1.0,
        }
    }

    /// How many times longer than the original length sequences may be.
    pub fn factor(&self) -> f64 {
        match self.scaling {
            RopeScaling::None => 1.0,
            RopeScaling::Linear { factor }
            | RopeScaling::Dynamic { factor }
            | RopeScaling::Llama3 { factor, .. }
            | RopeScaling::Yarn { factor, .. } => factor,
        }
    }

    /// Numbers that must be positive, with their names in `config.json`.
    pub(super) fn positive_numbers(&self) -> Vec<(&'static str, f64)> {
        let mut numbers = vec![("rope_theta", self.theta)];
        match self.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } | RopeScaling::Dynamic { factor } => numbers.push(("rope_scaling.factor", factor)),
            RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: length } => {
                numbers.extend([("rope_scaling.factor", factor), ("rope_scaling.low_freq_factor", low)]);
                numbers.push(("rope_scaling.high_freq_factor less low_freq_factor", high - low));
                numbers.push(("rope_scaling.original_max_position_embeddings", length));
            }
            RopeScaling::Yarn { factor, original_max_position_embeddings: length, attention_factor, beta_fast, beta_slow, .. } => {
                numbers.extend([("rope_scaling.factor", factor), ("rope_scaling.attention_factor", attention_factor)]);
                numbers.extend([("rope_scaling.beta_fast", beta_fast), ("rope_scaling.beta_slow", beta_slow)]);
                numbers.push(("rope_scaling.original_max_position_embeddings", length));
                // The ramp is found by logarithms to this base.
                numbers.push(("rope_theta less 1", self.theta - 1.0));
            }
        }
        numbers
    }

    fn scaled(&self, frequency: f64, pair: u32, head_dim: u32) -> f64 {
        match self.scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let rotations = original_max_position_embeddings * frequency / TAU;
                let unscaled = ((rotations - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                unscaled * frequency + (1.0 - unscaled) * frequency / factor
            }
            RopeScaling::Yarn { factor, original_max_position_embeddings, beta_fast, beta_slow, truncate, .. } => {
                let pair_of = |rotations: f64| {
                    f64::from(head_dim) * (original_max_position_embeddings / (rotations * TAU)).ln() / (2.0 * self.theta.ln())
                };
                let (mut first, mut last) = (pair_of(beta_fast), pair_of(beta_slow));
                if truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                (first, last) = (first.max(0.0), last.min(f64::from(head_dim) - 1.0));
                // As in transformers: a ramp of no width is a step.
                let width = if first == last { 0.001 } else { last - first };
                let scaled = ((f64::from(pair) - first) / width).clamp(0.0, 1.0);
                (1.0 - scaled) * frequency + scaled * frequency / factor
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_high_frequencies_and_divides_low_ones() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192.0 };
        let rope = Rope { theta: 1e4, scaling };
        let rotations = |rotations: f64| rotations * TAU / 8192.0;
        for (frequency, expected) in
            [(rotations(4.1), rotations(4.1)), (rotations(0.9), rotations(0.9) / 8.0), (rotations(2.5), rotations(2.5) * (0.5 + 0.5 / 8.0))]
        {
            assert!((rope.scaled(frequency, 0, 64) / expected - 1.0).abs() < 1e-12);
        }
    }

    /// With the numbers of Qwen 3 and its YaRN: pairs up to 23 are kept, those from 41 on divided.
    #[test]
    fn yarn_keeps_high_frequencies_and_divides_low_ones() {
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            original_max_position_embeddings: 32_768.0,
            attention_factor: 1.138_629_436_111_989,
            beta_fast: 32.0,
            beta_slow: 1.0,
            truncate: true,
        };
        let (plain, yarn) = (Rope::plain(1e6), Rope { theta: 1e6, scaling });
        let [plain, scaled] = [plain, yarn].map(|rope| rope.frequencies(128, 1, 40_960));
        let ratios: Vec<f64> = scaled.iter().zip(&plain).map(|(scaled, plain)| scaled / plain).collect();
        assert!(ratios[..=23].iter().all(|ratio| (ratio - 1.0).abs() < 1e-12), "{ratios:?}");
        assert!(ratios[40..].iter().all(|ratio| (ratio - 0.25).abs() < 1e-12), "{ratios:?}");
        assert!(ratios[23..=40].windows(2).all(|pair| pair[0] > pair[1]), "{ratios:?}");
    }

    #[test]
    fn dynamic_scaling_starts_beyond_the_original_length() {
        let dynamic = Rope { theta: 1e4, scaling: RopeScaling::Dynamic { factor: 2.0 } };
        assert_eq!(dynamic.frequencies(8, 100, 100), Rope::plain(1e4).frequencies(8, 100, 100));
        // Twice the length: 2·2 − 1 = 3 times the base, to the power of 8 / 6.
        let longer = Rope::plain(1e4 * 3f64.powf(8.0 / 6.0)).frequencies(8, 1, 1);
        assert_eq!(dynamic.frequencies(8, 200, 100), longer);
    }
}
