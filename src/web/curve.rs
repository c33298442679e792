//! Curves over steps: scales, ticks and lines.

/// Units of the picture, both ways.
pub const SIZE: f64 = 1000.0;

/// A step and a value.
pub type Point = (u64, f64);

/// Scales on which all lines of a picture lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// The last step.
    pub steps: u64,
    /// The lowest and the highest value that the picture has room for; their logarithms on a logarithmic scale.
    range: (f64, f64),
    /// Values at which there is a line across.
    pub ticks: Vec<f64>,
    is_log: bool,
}

/// Points of a line at most: more than a screen has would only cost time.
const MOST_POINTS: usize = 600;

impl Axes {
    /// Scales with room for all lines. On a logarithmic scale values that are not above zero are left out.
    pub fn of(lines: &[&[Point]], is_log: bool) -> Self {
        let points = || lines.iter().flat_map(|line| line.iter()).filter(|&&(_, value)| !is_log || value > 0.0);
        let steps = points().map(|&(step, _)| step).max().unwrap_or(1).max(2);
        let low = points().map(|&(_, value)| value).fold(f64::INFINITY, f64::min);
        let high = points().map(|&(_, value)| value).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (if is_log { 0.1 } else { 0.0 }, 6.0) };
        if is_log {
            let ticks = log_ticks(low, high);
            let range = (ticks[0].log10(), ticks[ticks.len() - 1].log10());
            return Axes { steps, range, ticks, is_log };
        }
        let spacing = nice_spacing((high - low).max(0.02 * high.abs()).max(1e-9) / 4.0);
        let first = (low / spacing).floor() as i64;
        let last = ((high / spacing).ceil() as i64).max(first + 1);
        let ticks = (first..=last).map(|i| i as f64 * spacing).collect();
        Axes { steps, range: (first as f64 * spacing, last as f64 * spacing), ticks, is_log }
    }

    /// Where a step is, from the left.
    pub fn x(&self, step: u64) -> f64 {
        SIZE * step.saturating_sub(1) as f64 / (self.steps - 1) as f64
    }

    /// Where a value is, from the top.
    pub fn y(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        let at = if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        SIZE * ((high - at) / (high - low)).clamp(0.0, 1.0)
    }

    /// A line as points of an SVG polyline.
    pub fn line(&self, points: &[Point]) -> String {
        let stride = points.len().div_ceil(MOST_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let drawn = points.iter().enumerate().filter(|(i, _)| i % stride == 0 || *i == last);
        drawn.map(|(_, &(step, value))| format!("{:.1},{:.1}", self.x(step), self.y(value))).collect::<Vec<_>>().join(" ")
    }
}

/// 1, 2 and 5 times powers of ten from one that is no larger than `low` to one that is no smaller than `high`; only the powers
/// where these would be too many.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let digits: &[f64] = if last - first > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> = (first..=last).flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect();
    let start = all.iter().rposition(|&tick| tick <= low).unwrap_or(0);
    let end = all.iter().position(|&tick| tick >= high).unwrap_or(all.len() - 1).max(start + 1).min(all.len() - 1);
    all[start..=end].to_vec()
}

/// The smallest of 1, 2 and 5 times a power of ten that is no smaller.
fn nice_spacing(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|&spacing| spacing >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_inside() {
        let line = [(1, 5.61), (2, 4.0), (7, 2.13)];
        let axes = Axes::of(&[&line], false);
        assert_eq!(axes.ticks, [2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(axes.line(&line[..1]), "0.0,97.5");
        assert!(line.iter().all(|&(step, loss)| (0.0..=SIZE).contains(&axes.x(step)) && (0.0..=SIZE).contains(&axes.y(loss))));
    }

    #[test]
    fn no_points_and_equal_points_have_axes_too() {
        assert_eq!(Axes::of(&[&[]], false).range, (0.0, 6.0));
        for value in [2.0, 0.0003] {
            let (low, high) = Axes::of(&[&[(1, value), (2, value)]], false).range;
            assert!(low <= value && high > value && low < high);
        }
        assert!(Axes::of(&[&[]], true).ticks.len() >= 2);
        assert!(Axes::of(&[&[(1, 1.0)]], true).ticks.len() >= 2);
    }

    #[test]
    fn a_logarithmic_scale_has_equal_steps_for_equal_factors() {
        let line = [(1, 0.3), (2, 3.0), (3, 30.0)];
        let axes = Axes::of(&[&line], true);
        assert_eq!(axes.ticks, [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        let [a, b, c] = line.map(|(_, value)| axes.y(value));
        assert!((a - b - (b - c)).abs() < 1e-9 && a < SIZE && c > 0.0);
        assert_eq!(Axes::of(&[&[(1, 1e-6), (2, 1.0)]], true).ticks.len(), 7);
    }

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_end() {
        let points: Vec<Point> = (1..=10_001).map(|step| (step, 1.0 / step as f64)).collect();
        let line = Axes::of(&[&points], false).line(&points);
        assert!(line.split(' ').count() <= MOST_POINTS + 1);
        assert!(line.ends_with(&format!("{:.1},{:.1}", SIZE, Axes::of(&[&points], false).y(points[10_000].1))));
    }
}
