//! The step as one picture that stands for itself: the grid at a moment, the memory through the step, the legend.

use std::fmt::Write;

use super::part::{Part, Parts};
use super::planned::Planned;
use super::step_grid::StepGrid;
use super::timeline::{HEIGHT, Timeline};

/// Pixels of the picture.
pub const SIZE: [u32; 2] = [1200, 760];
const LEFT: f64 = 110.0;
const WIDTH: f64 = 1060.0;

/// The words and colours of a picture.
pub struct Words<'a> {
    /// The first line.
    pub title: String,
    /// The second line: the moment.
    pub moment: String,
    /// At the peak.
    pub peak: String,
    /// The name of a row, by its layer.
    pub row: &'a dyn Fn(Option<u32>) -> String,
    /// The name of a part.
    pub part: &'a dyn Fn(Part) -> String,
    /// The name of a pass.
    pub pass: &'a dyn Fn(crate::step::Pass) -> String,
    /// A colour of the style sheet, by its name there.
    pub colour: &'a dyn Fn(&str) -> String,
}

/// Draws the step at a turn as SVG.
pub fn poster(planned: &Planned, stage: &StepGrid, timeline: &Timeline, turn: u64, words: &Words) -> String {
    let colour = words.colour;
    let [width, height] = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" fill=\"{}\"><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
        colour("ink"),
        colour("panel")
    );
    text(&mut svg, 20.0, 36.0, 22, &words.title);
    text(&mut svg, 20.0, 62.0, 15, &words.moment);
    grid(&mut svg, planned, stage, turn, words, 84.0..370.0);
    through_time(&mut svg, timeline, turn, words, 420.0..660.0);
    legend(&mut svg, words, 720.0);
    svg + "</svg>"
}

pub(super) fn text(svg: &mut String, x: f64, y: f64, size: u32, words: &str) {
    let safe = escaped(words);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\">{safe}</text>");
}

/// Words as they stand in an SVG.
pub(super) fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;")
}

/// How wide words of that size are, about: characters of other scripts are twice as wide.
pub(super) fn width_of(words: &str, size: f64) -> f64 {
    words.chars().map(|c| if c.is_ascii() { 0.55 * size } else { size }).sum()
}

fn rect(svg: &mut String, [x, y, width, height]: [f64; 4], fill: &str) {
    let _ = write!(svg, "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\"/>");
}

fn grid(svg: &mut String, planned: &Planned, stage: &StepGrid, turn: u64, words: &Words, place: std::ops::Range<f64>) {
    let colour = words.colour;
    let tokens = f64::from(planned.program().tokens());
    let step = (place.end - place.start) / stage.rows.len() as f64;
    let room = step - 5.0;
    for ((row, states), at) in stage.rows.iter().zip(stage.at(planned, turn)).zip(0..) {
        let top = place.start + f64::from(at) * step;
        text(svg, 20.0, top + step / 2.0 + 3.0, if step > 20.0 { 13 } else { 9 }, &(words.row)(row.layer));
        for (cell, state) in row.cells.iter().zip(states) {
            let count = f64::from(cell.tokens.end - cell.tokens.start);
            let (x, width) = (LEFT + WIDTH * f64::from(cell.tokens.start) / tokens, (WIDTH * count / tokens - 2.0).max(0.5));
            rect(svg, [x, top, width, room], &colour("track"));
            let mut y = top + room;
            let layers = |parts: Parts| Part::ALL.map(|part| (part, parts[part as usize]));
            for (part, bytes) in layers(state.kept).into_iter().chain(layers(state.passing)) {
                let high = room * bytes as f64 / count / stage.densest;
                y -= high;
                if bytes > 0 {
                    rect(svg, [x, y, width, high], &colour(part.name()));
                }
            }
            if state.is_lit {
                let _ = write!(
                    svg,
                    "<rect x=\"{x:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{room:.2}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
                    colour("accent")
                );
            }
        }
    }
}

fn through_time(svg: &mut String, timeline: &Timeline, turn: u64, words: &Words, place: std::ops::Range<f64>) {
    let colour = words.colour;
    let (high, turns) = (place.end - place.start, timeline.turns as f64);
    let most = timeline.most();
    let x = |turn: u64| LEFT + WIDTH * (turn as f64 + 0.5) / turns;
    rect(svg, [LEFT, place.start, WIDTH, high], &colour("track"));
    let (across, down) = (WIDTH / turns, high / HEIGHT);
    let _ = write!(svg, "<g transform=\"translate({LEFT} {}) scale({across} {down})\">", place.start);
    for part in Part::ALL {
        let _ = write!(svg, "<path d=\"{}\" fill=\"{}\"/>", timeline.area(part, most), colour(part.name()));
    }
    *svg += "</g>";
    for (at, colour) in [(timeline.peak, colour("ink")), (turn, colour("accent"))] {
        rect(svg, [x(at) - 1.0, place.start - 14.0, 2.0, high + 14.0], &colour);
    }
    text(svg, LEFT, place.start - 20.0, 14, &words.peak);
    for &(pass, _) in &timeline.passes {
        let (start, end) = timeline.span(pass).expect("the pass is one of its own");
        if (end - start) as f64 > 0.06 * turns {
            text(svg, x(start), place.end + 18.0, 13, &(words.pass)(pass));
        }
    }
}

fn legend(svg: &mut String, words: &Words, y: f64) {
    let mut x = 20.0;
    for part in Part::ALL {
        let name = (words.part)(part);
        rect(svg, [x, y - 11.0, 12.0, 12.0], &(words.colour)(part.name()));
        text(svg, x + 17.0, y, 12, &name);
        x += 34.0 + width_of(&name, 12.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::planned::tests::planned;
    use super::*;
    use crate::step::StrategyKind;

    #[test]
    fn a_poster_is_whole_and_shows_every_row_and_part() {
        let planned = planned(StrategyKind::Stream, 300);
        let (stage, timeline) = (StepGrid::of(&planned), Timeline::of(&planned));
        let words = Words {
            title: "A < B & C".to_owned(),
            moment: "now".to_owned(),
            peak: "peak".to_owned(),
            row: &|layer| format!("row {layer:?}"),
            part: &|part| part.name().to_owned(),
            pass: &|pass| pass.name().to_owned(),
            colour: &|name| format!("#{name}"),
        };
        let svg = poster(&planned, &stage, &timeline, timeline.peak, &words);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && svg.contains("A &lt; B &amp; C"));
        assert_eq!(svg.matches("<text").count(), 3 + 5 + 2 + Part::ALL.len() + 1, "{svg}");
        assert!(Part::ALL.iter().all(|part| svg.contains(&format!("#{}\"", part.name()))));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
