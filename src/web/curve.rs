//! The loss curve: scales, ticks and lines.

/// Units of the picture, both ways.
pub const SIZE: f64 = 1000.0;

/// A step and its loss.
pub type Point = (u64, f64);

/// Scales on which all lines of a picture lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// The last step.
    pub steps: u64,
    /// The lowest and the highest loss that the picture has room for.
    pub losses: (f64, f64),
    /// Losses at which there is a line across.
    pub ticks: Vec<f64>,
}

/// Points of a line at most: more than a screen has would only cost time.
const MOST_POINTS: usize = 2000;

impl Axes {
    /// Scales with room for all lines.
    pub fn of(lines: &[&[Point]]) -> Self {
        let points = || lines.iter().flat_map(|line| line.iter());
        let steps = points().map(|&(step, _)| step).max().unwrap_or(1).max(2);
        let low = points().map(|&(_, loss)| loss).fold(f64::INFINITY, f64::min);
        let high = points().map(|&(_, loss)| loss).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 6.0) };
        let spacing = nice_spacing((high - low).max(0.02) / 4.0);
        let (first, last) = ((low / spacing).floor() as i64, ((high / spacing).ceil() as i64).max((low / spacing).floor() as i64 + 1));
        let ticks = (first..=last).map(|i| i as f64 * spacing).collect();
        Axes { steps, losses: (first as f64 * spacing, last as f64 * spacing), ticks }
    }

    /// Where a step is, from the left.
    pub fn x(&self, step: u64) -> f64 {
        SIZE * step.saturating_sub(1) as f64 / (self.steps - 1) as f64
    }

    /// Where a loss is, from the top.
    pub fn y(&self, loss: f64) -> f64 {
        let (low, high) = self.losses;
        SIZE * (high - loss) / (high - low)
    }

    /// A line as points of an SVG polyline.
    pub fn line(&self, points: &[Point]) -> String {
        let stride = points.len().div_ceil(MOST_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let drawn = points.iter().enumerate().filter(|(i, _)| i % stride == 0 || *i == last);
        drawn.map(|(_, &(step, loss))| format!("{:.1},{:.1}", self.x(step), self.y(loss))).collect::<Vec<_>>().join(" ")
    }
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
        let axes = Axes::of(&[&line]);
        assert_eq!(axes.ticks, [2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(axes.line(&line[..1]), "0.0,97.5");
        assert!(line.iter().all(|&(step, loss)| (0.0..=SIZE).contains(&axes.x(step)) && (0.0..=SIZE).contains(&axes.y(loss))));
    }

    #[test]
    fn no_points_and_equal_points_have_axes_too() {
        assert_eq!(Axes::of(&[&[]]).losses, (0.0, 6.0));
        let (low, high) = Axes::of(&[&[(1, 2.0), (2, 2.0)]]).losses;
        assert!(low <= 2.0 && high > 2.0 && low < high);
    }

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_end() {
        let points: Vec<Point> = (1..=10_001).map(|step| (step, 1.0 / step as f64)).collect();
        let line = Axes::of(&[&points]).line(&points);
        assert!(line.split(' ').count() <= MOST_POINTS + 1);
        assert!(line.ends_with(&format!("{:.1},{:.1}", SIZE, Axes::of(&[&points]).y(points[10_000].1))));
    }
}
