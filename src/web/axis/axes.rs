//! The two axes of a chart.

use super::scale::Scale;

/// Units of a chart's width and of its height.
pub const SIDE: f64 = 1000.0;

/// A scale from left to right, and one from the bottom to the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// From left to right.
    pub x: Scale,
    /// From the bottom to the top.
    pub y: Scale,
}

impl Axes {
    /// From the left, in percent.
    pub fn left(&self, x: f64) -> f64 {
        100.0 * self.x.share(x)
    }

    /// From the top, in percent.
    pub fn top(&self, y: f64) -> f64 {
        100.0 - 100.0 * self.y.share(y)
    }

    /// Values as coordinates of an SVG that is [`SIDE`] wide and high.
    pub fn point(&self, x: f64, y: f64) -> String {
        format!("{:.1},{:.1}", SIDE / 100.0 * self.left(x), SIDE / 100.0 * self.top(y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_at_the_bottom_left() {
        let axes = Axes { x: Scale::counts(0, 10), y: Scale::linear(0.0, 100.0) };
        assert_eq!([axes.point(0.0, 0.0), axes.point(10.0, 100.0)], ["0.0,1000.0", "1000.0,0.0"]);
        assert_eq!((axes.left(5.0), axes.top(25.0)), (50.0, 75.0));
    }
}
