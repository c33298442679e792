//! A chart of lines as a picture that stands for itself.

use std::fmt::Write;

use super::svg_export::{escaped, text};
use crate::web::axis::{Axes, spread};

/// Pixels of the picture.
pub const PLOT_SIZE: [u32; 2] = [1000, 600];
const LEFT: f64 = 90.0;
const TOP: f64 = 72.0;
const WIDTH: f64 = 740.0;
const HEIGHT: f64 = 440.0;
/// Names at the ends of lines keep this distance, in percent of the height.
const NAME_GAP: f64 = 4.5;

/// A line of a chart, in the chart's own units.
pub struct PlotLine {
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The name of its colour in the style sheet.
    pub colour: &'static str,
    /// The lengths of its dashes and of the gaps between them; empty for a line without.
    pub dashes: &'static str,
    /// What stands at its end.
    pub name: String,
}

/// A chart with its words.
pub struct PlotFile<'a> {
    /// The first line.
    pub title: String,
    /// The second line.
    pub about: String,
    /// The axes.
    pub axes: &'a Axes,
    /// What stands at the ticks of the horizontal and of the vertical axis.
    pub labels: [fn(f64) -> String; 2],
    /// What stands under the horizontal axis.
    pub x_name: String,
    /// The lines, what matters most last.
    pub lines: Vec<PlotLine>,
    /// A colour of the style sheet, by its name there.
    pub colour: &'a dyn Fn(&str) -> String,
}

impl PlotFile<'_> {
    /// Draws it as SVG.
    pub fn svg(&self) -> String {
        let ([width, height], colour) = (PLOT_SIZE, self.colour);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"system-ui, sans-serif\" fill=\"{}\"><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
            colour("ink"),
            colour("panel")
        );
        text(&mut svg, 20.0, 32.0, 20, &self.title);
        text(&mut svg, 20.0, 54.0, 14, &self.about);
        self.ticks(&mut svg);
        self.lines(&mut svg);
        svg + "</svg>"
    }

    /// Where a point lies, in pixels.
    fn at(&self, (x, y): (f64, f64)) -> [f64; 2] {
        [LEFT + WIDTH * self.axes.x.share(x), TOP + HEIGHT * (1.0 - self.axes.y.share(y))]
    }

    fn ticks(&self, svg: &mut String) {
        let (line, soft) = ((self.colour)("line"), (self.colour)("soft"));
        let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
        for &tick in self.axes.x.ticks() {
            let [x, _] = self.at((tick, self.axes.y.low()));
            let _ = write!(svg, "<path d=\"M {x:.1} {TOP} V {bottom}\" stroke=\"{line}\"/>");
            label(svg, [x, bottom + 18.0], "middle", &soft, &(self.labels[0])(tick));
        }
        for &tick in self.axes.y.ticks() {
            let [_, y] = self.at((self.axes.x.low(), tick));
            let _ = write!(svg, "<path d=\"M {LEFT} {y:.1} H {right}\" stroke=\"{line}\"/>");
            label(svg, [LEFT - 8.0, y + 4.0], "end", &soft, &(self.labels[1])(tick));
        }
        label(svg, [LEFT + WIDTH / 2.0, bottom + 42.0], "middle", &soft, &self.x_name);
    }

    fn lines(&self, svg: &mut String) {
        for PlotLine { points, colour, dashes, .. } in &self.lines {
            let points: Vec<String> = points.iter().map(|&point| self.at(point)).map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
            let colour = (self.colour)(colour);
            let _ = write!(
                svg,
                "<path d=\"M {}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\" stroke-dasharray=\"{dashes}\" stroke-linejoin=\"round\"/>",
                points.join(" L ")
            );
        }
        let named: Vec<&PlotLine> = self.lines.iter().filter(|line| !line.name.is_empty()).collect();
        let ends: Vec<f64> = named.iter().map(|line| self.axes.top(line.points.last().map_or(0.0, |point| point.1))).collect();
        for (line, end) in named.iter().zip(spread(&ends, NAME_GAP)) {
            label(svg, [LEFT + WIDTH + 10.0, TOP + HEIGHT * end / 100.0 + 4.0], "start", &(self.colour)(line.colour), &line.name);
        }
    }
}

fn label(svg: &mut String, [x, y]: [f64; 2], anchor: &str, colour: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"13\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::axis::{Scale, number};

    #[test]
    fn a_file_has_every_line_its_name_and_both_axes() {
        let axes = Axes { x: Scale::counts(1, 10), y: Scale::linear(0.0, 4.0) };
        let line =
            |name: &str, dashes| PlotLine { points: vec![(1.0, 4.0), (10.0, 2.0)], colour: "training", dashes, name: name.to_owned() };
        let file = PlotFile {
            title: "A < B".to_owned(),
            about: String::new(),
            axes: &axes,
            labels: [number, number],
            x_name: "step".to_owned(),
            lines: vec![line("loss", ""), line("", "2 5"), line("validation", "9 5")],
            colour: &|name| format!("#{name}"),
        };
        let svg = file.svg();
        assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>") && svg.contains("A &lt; B"));
        assert_eq!(svg.matches("stroke-width=\"2.5\"").count(), 3);
        assert_eq!(svg.matches("<text").count(), 2 + axes.x.ticks().len() + axes.y.ticks().len() + 1 + 2, "{svg}");
        assert!(svg.contains("M 90.0 72.0 L 830.0 292.0") && !svg.contains("NaN"));
    }
}
