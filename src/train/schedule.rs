//! The learning rate schedule: linear warmup and cosine decay.

use std::f64::consts::PI;

use super::Settings;

/// The learning rate of a step, counted from 1: linear warmup over `warmup` steps, then cosine decay to `min_learning_rate` at step
/// `steps`, and constant afterwards.
pub fn learning_rate(settings: &Settings, step: u64) -> f64 {
    if step <= settings.warmup {
        return settings.learning_rate * step as f64 / settings.warmup as f64;
    }
    let rest = settings.steps.saturating_sub(settings.warmup).max(1);
    let progress = ((step - settings.warmup) as f64 / rest as f64).min(1.0);
    let span = settings.learning_rate - settings.min_learning_rate;
    settings.min_learning_rate + span * 0.5 * (1.0 + (PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_the_floor() {
        let settings = Settings { learning_rate: 1.0, min_learning_rate: 0.1, warmup: 10, steps: 110, ..Settings::default() };
        assert_eq!(learning_rate(&settings, 1), 0.1);
        assert_eq!(learning_rate(&settings, 10), 1.0);
        assert!((learning_rate(&settings, 60) - 0.55).abs() < 1e-12);
        assert!((learning_rate(&settings, 110) - 0.1).abs() < 1e-12);
        assert!((learning_rate(&settings, 500) - 0.1).abs() < 1e-12);
    }
}
