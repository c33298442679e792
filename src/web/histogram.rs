//! How many values lie where along an axis.

use super::axis::Scale;

/// Bars between two ticks.
const BARS: usize = 4;

/// Bars of equal width along a scale that has zero as a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The scale.
    pub scale: Scale,
    /// The values in each bar, from left to right.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// That of values. Those that are not finite are left out.
    pub fn of(values: &[f64]) -> Histogram {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let scale = Scale::linear(finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
        let mut counts = vec![0; BARS * (scale.ticks().len() - 1)];
        let bars = counts.len();
        for value in finite() {
            counts[((scale.share(value) * bars as f64) as usize).min(bars - 1)] += 1;
        }
        Histogram { scale, counts }
    }

    /// Where a bar begins and ends, as shares of the scale.
    pub fn ends(&self, bar: usize) -> [f64; 2] {
        [bar, bar + 1].map(|edge| edge as f64 / self.counts.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bar_and_none_is_across_zero() {
        let values = [-0.3, -0.01, 0.01, 0.6, 1.9, 1.9, f64::NAN];
        let histogram = Histogram::of(&values);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 6);
        let zero = histogram.scale.share(0.0);
        let below: u64 =
            (0..histogram.counts.len()).filter(|&bar| histogram.ends(bar)[1] <= zero + 1e-9).map(|bar| histogram.counts[bar]).sum();
        assert_eq!(below, 2);
        assert!(Histogram::of(&[]).counts.iter().all(|&count| count == 0));
    }
}
