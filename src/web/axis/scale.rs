//! A scale: where a value lies along an axis, and at which values it has ticks.

/// From the low end of an axis to its high end.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    ticks: Vec<f64>,
}

/// Intervals between the ticks of a linear scale, about: of numbers, of whole numbers, and of bytes.
const INTERVALS: f64 = 4.0;
const COUNT_INTERVALS: f64 = 6.0;
const BYTE_INTERVALS: u64 = 5;

impl Scale {
    /// A linear scale that begins and ends with a tick, at multiples of 1, 2 or 5 times a power of ten.
    pub fn linear(low: f64, high: f64) -> Scale {
        // Equal values get some room.
        let spacing = decimal_spacing((high - low).max(0.02 * high.abs()).max(1e-9) / INTERVALS);
        let first = (low / spacing).floor() as i64;
        let last = ((high / spacing).ceil() as i64).max(first + 1);
        let ticks = (first..=last).map(|i| i as f64 * spacing).collect();
        Scale { low: first as f64 * spacing, high: last as f64 * spacing, is_log: false, ticks }
    }

    /// A logarithmic scale that begins and ends with a tick: 1, 2 and 5 times powers of ten, or only the powers where these are too many.
    pub fn log10(low: f64, high: f64) -> Scale {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let digits: &[f64] = if last - first > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all: Vec<f64> = (first..=last).flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect();
        let start = all.iter().rposition(|&tick| tick <= low).unwrap_or(0);
        let end = all.iter().position(|&tick| tick >= high).unwrap_or(all.len() - 1).max(start + 1);
        let ticks = all.get(start..=end).map_or_else(|| vec![all[start], 10.0 * all[start]], <[f64]>::to_vec);
        Scale { low: ticks[0], high: ticks[ticks.len() - 1], is_log: true, ticks }
    }

    /// A linear scale of whole numbers from `first` to `last`, with ticks at multiples of 1, 2 or 5 times a power of ten.
    pub fn counts(first: u64, last: u64) -> Scale {
        let last = last.max(first + 1);
        let spacing = decimal_spacing((last - first) as f64 / COUNT_INTERVALS).max(1.0) as u64;
        let ticks = (first.div_ceil(spacing)..=last / spacing).map(|i| (i * spacing) as f64).collect();
        Scale { low: first as f64, high: last as f64, is_log: false, ticks }
    }

    /// A linear scale of bytes from 0 to `high`, with ticks at multiples of a power of two.
    pub fn bytes(high: u64) -> Scale {
        let high = high.max(1);
        let spacing = high.div_ceil(BYTE_INTERVALS).next_power_of_two();
        Scale { low: 0.0, high: high as f64, is_log: false, ticks: (0..=high / spacing).map(|i| (i * spacing) as f64).collect() }
    }

    /// A logarithmic scale with at most `most` ticks, at powers of two.
    pub fn log2(low: f64, high: f64, most: u32) -> Scale {
        let (low, high) = (low.max(1.0), high.max(2.0 * low.max(1.0)));
        let exponents = low.log2().ceil() as u32..=high.log2().floor() as u32;
        let step = (exponents.end().saturating_sub(*exponents.start()) + 1).div_ceil(most).max(1);
        let ticks = exponents.filter(|exponent| exponent.is_multiple_of(step)).map(|exponent| f64::from(exponent).exp2()).collect();
        Scale { low, high, is_log: true, ticks }
    }

    /// The value at the low end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The value at the high end.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// The values that have a tick, the lowest first.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Where a value lies: 0 is the low end, 1 the high end. What lies beyond an end is moved to it.
    pub fn share(&self, value: f64) -> f64 {
        let along = |value: f64| if self.is_log { value.max(f64::MIN_POSITIVE).log2() } else { value };
        ((along(value) - along(self.low)) / (along(self.high) - along(self.low))).clamp(0.0, 1.0)
    }

    /// The value at a share of the axis.
    pub fn value(&self, share: f64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        if self.is_log { self.low * (self.high / self.low).powf(share) } else { self.low + share * (self.high - self.low) }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is no smaller than `least`.
fn decimal_spacing(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|&spacing| spacing >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_enclose_the_values() {
        assert_eq!(Scale::linear(2.13, 5.61).ticks(), [2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(Scale::linear(0.0, 100.0).ticks(), [0.0, 50.0, 100.0]);
        for value in [0.0, 2.0, 0.0003, -7.0] {
            let scale = Scale::linear(value, value);
            assert!(scale.low() <= value && value <= scale.high() && scale.low() < scale.high() && scale.ticks().len() >= 2);
        }
    }

    #[test]
    fn logarithmic_ticks_are_round_and_enclose_the_values() {
        let scale = Scale::log10(0.3, 30.0);
        assert_eq!(scale.ticks(), [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        // Equal factors are equally far apart.
        assert!((scale.share(3.0) - scale.share(0.3) - (scale.share(30.0) - scale.share(3.0))).abs() < 1e-12);
        assert_eq!(Scale::log10(1e-6, 1.0).ticks().len(), 7);
        for value in [1.0, 0.1, 3.0, 1e-30] {
            let scale = Scale::log10(value, value);
            assert!(scale.low() <= value && value <= scale.high() && scale.ticks().len() >= 2);
        }
    }

    #[test]
    fn counts_have_whole_ticks_within_their_ends() {
        assert_eq!(Scale::counts(1, 23).ticks(), [5.0, 10.0, 15.0, 20.0]);
        assert_eq!(Scale::counts(1, 100).ticks(), [20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(Scale::counts(1, 3).ticks(), [1.0, 2.0, 3.0]);
        assert_eq!(Scale::counts(1, 1).ticks(), [1.0, 2.0]);
        assert_eq!(Scale::counts(64, 127).ticks(), [80.0, 100.0, 120.0]);
    }

    #[test]
    fn bytes_have_ticks_at_multiples_of_a_power_of_two() {
        const MIB: f64 = 1_048_576.0;
        assert_eq!(Scale::bytes(18 << 20).ticks(), [0.0, 4.0, 8.0, 12.0, 16.0].map(|mib| mib * MIB));
        assert_eq!(Scale::bytes(64 << 20).ticks(), [0.0, 16.0, 32.0, 48.0, 64.0].map(|mib| mib * MIB));
        assert!((1..80).map(|shift| Scale::bytes((1u64 << (shift / 2)) * 3 / 2)).all(|scale| (2..=6).contains(&scale.ticks().len())));
    }

    #[test]
    fn lengths_have_ticks_at_powers_of_two() {
        let scale = Scale::log2(64.0, 16384.0, 6);
        assert_eq!(scale.ticks(), [64.0, 256.0, 1024.0, 4096.0, 16384.0]);
        assert_eq!([64.0, 1024.0, 16384.0].map(|tokens| scale.share(tokens)), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn a_value_is_found_again_where_it_lies() {
        for scale in
            [Scale::linear(-3.0, 17.0), Scale::log10(0.01, 5.0), Scale::counts(1, 77), Scale::bytes(1000), Scale::log2(64.0, 4096.0, 4)]
        {
            for share in [0.0, 0.3, 1.0] {
                assert!((scale.share(scale.value(share)) - share).abs() < 1e-12);
            }
            assert_eq!((scale.share(f64::INFINITY), scale.share(f64::NEG_INFINITY)), (1.0, 0.0));
        }
    }
}
