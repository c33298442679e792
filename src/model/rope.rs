//! The rotary embedding's frequencies, and how they are scaled for long sequences.

/// A rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// What stretches them.
    pub scaling: RopeScaling,
}

/// What stretches the frequencies of a rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum RopeScaling {
    /// Nothing.
    None,
    /// All are divided by the factor.
    Linear {
        /// What they are divided by.
        factor: f64,
    },
    /// Low ones are divided by the factor, high ones are not, and between the two it goes over smoothly.
    Llama3 {
        /// What low frequencies are divided by.
        factor: f64,
        /// Frequencies with fewer turns than this over the original length are low.
        low_freq_factor: f64,
        /// Frequencies with more turns than this over the original length are high.
        high_freq_factor: f64,
        /// The length that the model was first trained for.
        original_max_position_embeddings: f64,
    },
}

impl Rope {
    /// A rotary embedding that is not scaled.
    pub const fn plain(theta: f64) -> Self {
        Rope { theta, scaling: RopeScaling::None }
    }

    /// The angle of each pair of a head at position 1 (E/2).
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
                let turns = original_max_position_embeddings * frequency / std::f64::consts::TAU;
                let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / factor
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
        let turns = |turns: f64| turns * std::f64::consts::TAU / 8192.0;
        for (frequency, expected) in
            [(turns(4.1), turns(4.1)), (turns(0.9), turns(0.9) / 8.0), (turns(2.5), turns(2.5) * (0.5 + 0.5 / 8.0))]
        {
            assert!((scaling.scale(frequency) / expected - 1.0).abs() < 1e-12);
        }
    }
}
