//! The learning rate schedule: linear warmup and cosine decay.

use std::f64::consts::PI;

use super::Settings;

/// The learning rate of a step, counted from 1: linear warmup over `warmup` steps, then cosine decay to `min_learning_rate` at step
/// `steps`, and constant afterwards. Steps at the start that learn from answers have a warmup of their own, and then a constant rate.
pub fn learning_rate(settings: &Settings, step: u64) -> f64 {
    let of_answers = settings.roll_outs.as_ref().map_or(0, |roll_outs| roll_outs.sft_steps);
    if step <= of_answers {
        let rate = settings.roll_outs.as_ref().and_then(|roll_outs| roll_outs.sft_learning_rate).unwrap_or(settings.learning_rate);
        return rate * (step as f64 / settings.warmup.max(1) as f64).min(1.0);
    }
    of_schedule(settings, step - of_answers, settings.steps.saturating_sub(of_answers))
}

/// The same of the `step`-th of so many steps on the schedule.
fn of_schedule(settings: &Settings, step: u64, steps: u64) -> f64 {
    if step <= settings.warmup {
        return settings.learning_rate * step as f64 / settings.warmup as f64;
    }
    let rest = steps.saturating_sub(settings.warmup).max(1);
    let progress = ((step - settings.warmup) as f64 / rest as f64).min(1.0);
    let span = settings.learning_rate - settings.min_learning_rate;
    settings.min_learning_rate + span * 0.5 * (1.0 + (PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::RollOutSettings;

    #[test]
    fn rises_then_falls_to_the_floor() {
        let settings = Settings { learning_rate: 1.0, min_learning_rate: 0.1, warmup: 10, steps: 110, ..Settings::default() };
        assert_eq!(learning_rate(&settings, 1), 0.1);
        assert_eq!(learning_rate(&settings, 10), 1.0);
        assert!((learning_rate(&settings, 60) - 0.55).abs() < 1e-12);
        assert!((learning_rate(&settings, 110) - 0.1).abs() < 1e-12);
        assert!((learning_rate(&settings, 500) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn steps_on_answers_come_before_the_schedule() {
        let roll_outs = RollOutSettings { sft_steps: 20, sft_learning_rate: Some(5.0), ..RollOutSettings::default() };
        let plain = Settings { learning_rate: 1.0, min_learning_rate: 0.1, warmup: 10, steps: 100, ..Settings::default() };
        let settings = Settings { steps: 120, roll_outs: Some(roll_outs), ..plain.clone() };
        assert_eq!([1, 10, 20].map(|step| learning_rate(&settings, step)), [0.5, 5.0, 5.0]);
        assert!((1..=100).all(|step| learning_rate(&settings, 20 + step) == learning_rate(&plain, step)));
    }
}
