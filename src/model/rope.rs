//! The frequencies of the rotary embedding, and their scaling for long sequences.

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
}

impl Rope {
    /// A rotary embedding without scaling.
    pub const fn plain(theta: f64) -> Self {
        Rope { theta, scaling: RopeScaling::None }
    }

    /// The frequency of each pair of a head, in radians per position (E/2).
    pub fn frequencies(&self, head_dim: u32) -> Vec<f64> {
        let half = f64::from(head_dim / 2);
        (0..head_dim / 2).map(|e| self.scaling.scale(self.theta.powf(-f64::from(e) / half))).collect()
    }
}

impl RopeScaling {
    fn scale(self, frequency: f64) -> f64 {
        match self {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let rotations = original_max_position_embeddings * frequency / std::f64::consts::TAU;
                let unscaled = ((rotations - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                unscaled * frequency + (1.0 - unscaled) * frequency / factor
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
        let rotations = |rotations: f64| rotations * std::f64::consts::TAU / 8192.0;
        for (frequency, expected) in
            [(rotations(4.1), rotations(4.1)), (rotations(0.9), rotations(0.9) / 8.0), (rotations(2.5), rotations(2.5) * (0.5 + 0.5 / 8.0))]
        {
            assert!((scaling.scale(frequency) / expected - 1.0).abs() < 1e-12);
        }
    }
}
