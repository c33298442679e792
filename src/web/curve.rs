//! Curves over steps: their axes and lines, raw and smoothed.

use super::axis::{Axes, Scale};

/// A step and a value.
pub type Point = (u64, f64);

/// Points of a line at most: more than a screen has would only cost time.
const MOST_POINTS: usize = 600;

/// Axes with room for all lines. On a logarithmic scale values that are not above zero are left out.
pub fn axes(lines: &[&[Point]], is_log: bool) -> Axes {
    let points = || lines.iter().flat_map(|line| line.iter()).filter(|&&(_, value)| !is_log || value > 0.0);
    let steps = points().map(|&(step, _)| step).max().unwrap_or(1);
    let low = points().map(|&(_, value)| value).fold(f64::INFINITY, f64::min);
    let high = points().map(|&(_, value)| value).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low <= high { (low, high) } else { (if is_log { 0.1 } else { 0.0 }, 6.0) };
    Axes { x: Scale::counts(1, steps), y: if is_log { Scale::log10(low, high) } else { Scale::linear(low, high) } }
}

/// A line as points of an SVG polyline.
pub fn polyline(axes: &Axes, points: &[Point]) -> String {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let drawn = points.iter().enumerate().filter(|(i, _)| i % stride == 0 || *i == last);
    drawn.map(|(_, &(step, value))| axes.point(step as f64, value)).collect::<Vec<_>>().join(" ")
}

/// Points on either side that a smoothed point takes into account.
const REACH: usize = 10;

/// A smoothed line that does not lag behind: at each point the value of a straight line through its neighbours, the nearest of which count
/// most (local linear regression with tricube weights). It stays within the values of the neighbours.
pub fn smoothed(points: &[Point]) -> Vec<Point> {
    let smooth = |(i, &(step, _)): (usize, &Point)| {
        let near = &points[i.saturating_sub(REACH)..(i + REACH + 1).min(points.len())];
        let farthest = near.iter().map(|&(other, _)| other.abs_diff(step)).max().unwrap_or(0) as f64 + 1.0;
        let weighted = near.iter().map(|&(other, value)| {
            let x = other as f64 - step as f64;
            ((1.0 - (x.abs() / farthest).powi(3)).powi(3), x, value)
        });
        let [w, wx, wxx, wy, wxy] = weighted.fold([0.0; 5], |[w, wx, wxx, wy, wxy], (weight, x, y)| {
            [w + weight, wx + weight * x, wxx + weight * x * x, wy + weight * y, wxy + weight * x * y]
        });
        let spread = w * wxx - wx * wx;
        let value = if spread > 0.0 { (wxx * wy - wx * wxy) / spread } else { wy / w };
        let ends = near.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &(_, y)| (low.min(y), high.max(y)));
        (step, if ends.0 <= ends.1 { value.clamp(ends.0, ends.1) } else { value })
    };
    points.iter().enumerate().map(smooth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_inside() {
        let line = [(1, 5.61), (2, 4.0), (7, 2.13)];
        let axes = axes(&[&line], false);
        assert_eq!(axes.y.ticks(), [2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(axes.x.ticks().len() >= 3, "{:?}", axes.x.ticks());
        assert_eq!(polyline(&axes, &line), "0.0,97.5 166.7,500.0 1000.0,967.5");
    }

    #[test]
    fn no_points_have_axes_too() {
        for is_log in [false, true] {
            let axes = axes(&[&[]], is_log);
            assert!(axes.y.ticks().len() >= 2 && axes.x.ticks().len() >= 2);
        }
        // What a logarithmic scale has no place for does not decide about it.
        assert_eq!(axes(&[&[(1, 0.0), (2, 3.0)]], true).y, Scale::log10(3.0, 3.0));
    }

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_end() {
        let points: Vec<Point> = (1..=10_001).map(|step| (step, 1.0 / step as f64)).collect();
        let axes = axes(&[&points], false);
        let line = polyline(&axes, &points);
        assert!(line.split(' ').count() <= MOST_POINTS + 1);
        assert!(line.ends_with(&axes.point(10_001.0, points[10_000].1)));
    }

    #[test]
    fn a_smoothed_line_follows_without_a_lag() {
        let line = |value: &dyn Fn(f64) -> f64| (1..=200).map(|step| (step, value(step as f64))).collect::<Vec<Point>>();
        // A straight line stays as it is, up to its ends.
        let straight = line(&|step| 7.0 - 0.03 * step);
        assert!(smoothed(&straight).iter().zip(&straight).all(|(a, b)| (a.1 - b.1).abs() < 1e-9));
        // A jump stays where it is: as much is missing before it as is too much behind.
        let jump = smoothed(&line(&|step| if step <= 100.0 { 0.0 } else { 1.0 }));
        assert!((jump[99].1 + jump[100].1 - 1.0).abs() < 1e-9 && jump[85].1 == 0.0 && jump[115].1 == 1.0);
        // A loss that falls is followed closely, to its newest value.
        let falling = line(&|step| 2.0 + 3.5 * (-step / 25.0).exp());
        assert!(smoothed(&falling).iter().zip(&falling).all(|(a, b)| (a.1 - b.1).abs() < 0.06));
        // Noise is what it takes away.
        let noise = |i: f64| (12.9898 * i).sin() * 43758.5453 % 1.0;
        let noisy = line(&noise);
        let power = |points: &[Point]| points.iter().map(|(_, y)| y * y).sum::<f64>();
        assert!(power(&smoothed(&noisy)) < 0.2 * power(&noisy));
        assert_eq!(smoothed(&[]), []);
        assert_eq!(smoothed(&[(3, 2.5)]), [(3, 2.5)]);
    }
}
