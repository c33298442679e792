//! Direct preference optimisation: the loss of a pair.

/// The settings of direct preference optimisation, with TRL's names and defaults. Source: Rafailov et al. 2023.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DpoSettings {
    /// β: how far the model may move from its reference. Positive.
    pub beta: f64,
    /// The loss of a pair.
    pub loss_type: DpoLossType,
    /// The share of pairs whose two sequences are taken for swapped, below one half; only with [`DpoLossType::Sigmoid`].
    pub label_smoothing: f64,
}

impl Default for DpoSettings {
    fn default() -> Self {
        DpoSettings { beta: 0.1, loss_type: DpoLossType::Sigmoid, label_smoothing: 0.0 }
    }
}

/// The loss of a pair, as a function of its margin Δ: the log-ratio of model to reference of the chosen sequence, minus that of the rejected
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DpoLossType {
    /// `−log σ(βΔ)`.
    Sigmoid,
    /// `max(0, 1 − βΔ)`. Source: Zhao et al. 2023.
    Hinge,
    /// `(Δ − 1 / 2β)²`, where Δ has means over tokens instead of sums. Source: Azar et al. 2023.
    Ipo,
}

impl DpoLossType {
    /// All types.
    pub const ALL: [DpoLossType; 3] = [DpoLossType::Sigmoid, DpoLossType::Hinge, DpoLossType::Ipo];

    /// The type of that name.
    pub fn named(name: &str) -> Option<DpoLossType> {
        Self::ALL.into_iter().find(|loss_type| loss_type.name() == name)
    }

    /// TRL's name.
    pub fn name(self) -> &'static str {
        match self {
            DpoLossType::Sigmoid => "sigmoid",
            DpoLossType::Hinge => "hinge",
            DpoLossType::Ipo => "ipo",
        }
    }
}

impl DpoSettings {
    /// The loss of a pair, and its slope, for the margin Δ.
    pub fn loss(&self, margin: f64) -> (f64, f64) {
        let DpoSettings { beta, loss_type, label_smoothing: smoothing } = *self;
        match loss_type {
            DpoLossType::Sigmoid => {
                let x = beta * margin;
                let loss = (1.0 - smoothing) * softplus(-x) + smoothing * softplus(x);
                (loss, beta * (smoothing * sigmoid(x) - (1.0 - smoothing) * sigmoid(-x)))
            }
            DpoLossType::Hinge if beta * margin >= 1.0 => (0.0, 0.0),
            DpoLossType::Hinge => (1.0 - beta * margin, -beta),
            DpoLossType::Ipo => {
                let off = margin - 0.5 / beta;
                (off * off, 2.0 * off)
            }
        }
    }

    /// Does Δ have means over tokens instead of sums?
    pub fn has_means(&self) -> bool {
        self.loss_type == DpoLossType::Ipo
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `log(1 + eˣ)` = `−log σ(−x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_losses() {
        for loss_type in DpoLossType::ALL {
            for label_smoothing in [0.0, 0.2] {
                let settings = DpoSettings { beta: 0.3, loss_type, label_smoothing };
                for margin in [-40.0, -1.5, 0.0, 0.7, 3.0, 3.5, 60.0] {
                    let (_, slope) = settings.loss(margin);
                    let difference = (settings.loss(margin + 1e-5).0 - settings.loss(margin - 1e-5).0) / 2e-5;
                    assert!((slope - difference).abs() < 1e-7 * (1.0 + slope.abs()), "{settings:?} at {margin}: {slope}, {difference}");
                }
            }
        }
    }

    #[test]
    fn losses_have_known_values() {
        let at = |loss_type, label_smoothing, margin| DpoSettings { beta: 0.5, loss_type, label_smoothing }.loss(margin).0;
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(at(DpoLossType::Sigmoid, 0.0, 0.0), 2f64.ln()) && near(at(DpoLossType::Sigmoid, 0.1, 0.0), 2f64.ln()));
        assert!(near(at(DpoLossType::Sigmoid, 0.25, 2.0), 0.75 * (1.0 + (-1f64).exp()).ln() + 0.25 * (1.0 + 1f64.exp()).ln()));
        assert!(near(at(DpoLossType::Hinge, 0.0, 1.0), 0.5) && near(at(DpoLossType::Hinge, 0.0, 3.0), 0.0));
        assert!(near(at(DpoLossType::Ipo, 0.0, 3.0), 4.0));
    }
}
