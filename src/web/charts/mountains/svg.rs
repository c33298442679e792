//! The mountains as SVG. What stands in the page is as wide as there is room, with text of one size: places across are in percent. A file
//! is made of the same pieces.

use std::fmt::Write;

use super::super::part::Part;
use super::super::svg_export::{escaped, width_of};
use super::{Column, Mountain, Mountains, PASSES, WIDTH, model_bytes};
use crate::web::format::whole;

/// The words and colours of the picture.
pub struct MountainWords<'a> {
    /// The first line of a file.
    pub title: String,
    /// The second one.
    pub about: String,
    /// The names of the strategies, in the order of the mountains.
    pub strategies: [&'a str; 3],
    /// What their peaks are.
    pub verdicts: [String; 3],
    /// At the budget's line.
    pub budget: String,
    /// The names of [`PASSES`].
    pub passes: [&'a str; 4],
    /// What is there whatever the length, and what grows with it.
    pub legend: [&'a str; 2],
    /// A colour of the style sheet, by its name there.
    pub colour: &'a dyn Fn(&str) -> String,
}

/// Percent of the picture's width that a mountain has, and half of the gap between two.
const SHARE: f64 = 100.0 / 3.0;
const GAP: f64 = 1.0;
/// Units of the picture's height.
const HEIGHT: f64 = 1000.0;
const TEXT: f64 = 12.0;
/// The parts that grow with the sequence, as the legend shows them: in the order in which they are stacked.
const GROWING: [Part; 6] = [Part::Tables, Part::LayerInputs, Part::Hidden, Part::KeysValues, Part::Activations, Part::Logits];

/// The numbers of the y axis, right-aligned. It is as high as [`plot`].
pub fn axis(mountains: &Mountains, words: &MountainWords) -> String {
    let label = |bytes: u64| {
        let (y, fill) = (percent_down(mountains, bytes), (words.colour)("soft"));
        let mebibytes = whole(bytes >> 20);
        format!(
            "<text x=\"100%\" y=\"{y}\" dy=\".32em\" text-anchor=\"end\" font-size=\"{TEXT}\" fill=\"{fill}\">{mebibytes}<tspan> MiB</tspan></text>"
        )
    };
    mountains.ticks().into_iter().map(label).collect()
}

/// The mountains side by side, the y axis' lines, and the budget across all.
pub fn plot(mountains: &Mountains, words: &MountainWords) -> String {
    let colour = words.colour;
    let mut svg = String::new();
    for bytes in mountains.ticks() {
        across(&mut svg, &percent_down(mountains, bytes), &format!("stroke=\"{}\"", colour("line")));
    }
    for (index, mountain) in mountains.all.iter().enumerate() {
        let _ = write!(
            svg,
            "<svg data-strategy=\"{}\" x=\"{:.2}%\" width=\"{:.2}%\" height=\"100%\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">",
            mountain.kind,
            left_of(index),
            SHARE - 2.0 * GAP
        );
        areas(&mut svg, mountain, mountains.top, colour);
        svg += "</svg>";
    }
    budget(&mut svg, mountains, words);
    svg
}

/// One mountain alone, as wide as there is room, with the y axis' lines and the budget.
pub fn single(mountains: &Mountains, mountain: &Mountain, words: &MountainWords) -> String {
    let colour = words.colour;
    let mut svg = String::new();
    for bytes in mountains.ticks() {
        across(&mut svg, &percent_down(mountains, bytes), &format!("stroke=\"{}\"", colour("line")));
    }
    let _ = write!(svg, "<svg width=\"100%\" height=\"100%\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">");
    areas(&mut svg, mountain, mountains.top, colour);
    svg += "</svg>";
    across(
        &mut svg,
        &percent_down(mountains, mountains.budget),
        &format!("stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"7 5\"", colour("ink")),
    );
    svg
}

/// From the bottom, the model and the parts that grow. Each is drawn down to the ground and then covered by those below it, so that no gaps
/// show between them.
fn areas(svg: &mut String, mountain: &Mountain, top: u64, colour: &dyn Fn(&str) -> String) {
    let upto = |column: &Column, count: usize| -> u64 {
        model_bytes(&column.parts) + GROWING[..count].iter().map(|&part| column.parts[part as usize]).sum::<u64>()
    };
    for (index, part) in GROWING.into_iter().enumerate().rev() {
        let path = outline(mountain, top, |column| upto(column, index + 1));
        let _ = write!(svg, "<path d=\"{path}\" fill=\"{}\"/>", colour(part.name()));
    }
    let _ = write!(svg, "<path d=\"{}\" fill=\"{}\"/>", outline(mountain, top, |column| upto(column, 0)), colour("model"));
}

/// The outline of what reaches from the ground up to some bytes of each column.
fn outline(mountain: &Mountain, top: u64, bytes: impl Fn(&Column) -> u64) -> String {
    let height = |column: &Column| (HEIGHT * (1.0 - bytes(column) as f64 / top as f64)).round() as u64;
    let mut path = format!("M0 {HEIGHT}");
    let mut columns = mountain.columns.iter().peekable();
    let mut last = None;
    while let Some(column) = columns.next() {
        let here = height(column);
        if last != Some(here) {
            let _ = write!(path, "V{here}");
            last = Some(here);
        }
        if columns.peek().is_none_or(|next| height(next) != here) {
            let _ = write!(path, "H{}", column.end);
        }
    }
    let _ = write!(path, "V{HEIGHT}Z");
    path
}

/// The budget: a line across all, marked where a mountain breaks through it, and its name at the right, where the lowest mountain leaves room.
fn budget(svg: &mut String, mountains: &Mountains, words: &MountainWords) {
    let colour = words.colour;
    let y = percent_down(mountains, mountains.budget);
    across(svg, &y, &format!("stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"7 5\"", colour("ink")));
    for (index, _) in mountains.all.iter().enumerate().filter(|(_, mountain)| mountains.over(mountain).is_some()) {
        let (left, right) = (left_of(index), left_of(index) + SHARE - 2.0 * GAP);
        let _ = write!(
            svg,
            "<line x1=\"{left:.2}%\" x2=\"{right:.2}%\" y1=\"{y}\" y2=\"{y}\" stroke=\"{}\" stroke-width=\"3\"/>",
            colour("alarm")
        );
    }
    let _ = write!(
        svg,
        "<text x=\"100%\" y=\"{y}\" dx=\"-6\" dy=\"-.6em\" text-anchor=\"end\" font-size=\"13\" font-weight=\"600\" fill=\"{}\" stroke=\"{}\" \
         stroke-width=\"4\" paint-order=\"stroke\" stroke-linejoin=\"round\">{}</text>",
        colour("ink"),
        colour("ground"),
        escaped(&words.budget)
    );
}

/// The names of the passes under every mountain.
pub fn passes(words: &MountainWords) -> String {
    let (soft, line) = ((words.colour)("soft"), (words.colour)("line"));
    let mut svg = String::new();
    for index in 0..words.strategies.len() {
        let mut start = 0;
        for ((_, width), name) in PASSES.into_iter().zip(words.passes) {
            let x = |unit: u32| left_of(index) + (SHARE - 2.0 * GAP) * f64::from(unit) / f64::from(WIDTH);
            let left = x(start);
            // The last one may be wider than its pass, so it ends where that does.
            let (at, anchor) = if start + width == WIDTH { (x(WIDTH), "end") } else { (x(start + width / 2), "middle") };
            let _ = write!(svg, "<line x1=\"{left:.2}%\" x2=\"{left:.2}%\" y2=\"6\" stroke=\"{line}\"/>");
            let _ = write!(
                svg,
                "<text x=\"{at:.2}%\" y=\"16\" text-anchor=\"{anchor}\" font-size=\"{TEXT}\" fill=\"{soft}\">{}</text>",
                escaped(name)
            );
            start += width;
        }
    }
    svg
}

/// Pixels of a file.
const FILE: [u32; 2] = [1200, 640];
const LEFT: f64 = 84.0;
const RIGHT: f64 = 1176.0;
const TOP: f64 = 176.0;
const BOTTOM: f64 = 556.0;

/// The whole picture as a file.
pub fn mountains_file(mountains: &Mountains, words: &MountainWords) -> String {
    let colour = words.colour;
    let [width, height] = FILE;
    let (ink, soft, alarm, within) = (colour("ink"), colour("soft"), colour("alarm"), colour("within"));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" fill=\"{ink}\"><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
        colour("ground")
    );
    text(&mut svg, [24.0, 44.0], 18, &format!("fill=\"{ink}\" font-weight=\"600\""), &words.title);
    text(&mut svg, [24.0, 72.0], 15, &format!("fill=\"{soft}\""), &words.about);
    for (index, mountain) in mountains.all.iter().enumerate() {
        let x = LEFT + (RIGHT - LEFT) * left_of(index) / 100.0;
        text(&mut svg, [x, 116.0], 17, &format!("fill=\"{ink}\" font-weight=\"600\""), words.strategies[index]);
        let fill = if mountains.over(mountain).is_some() { &alarm } else { &within };
        text(&mut svg, [x, 142.0], 15, &format!("fill=\"{fill}\""), &words.verdicts[index]);
    }
    let pieces = [
        ([8.0, TOP, LEFT - 16.0, BOTTOM - TOP], axis(mountains, words)),
        ([LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP], plot(mountains, words)),
        ([LEFT, BOTTOM, RIGHT - LEFT, 24.0], passes(words)),
    ];
    for ([x, y, width, height], piece) in pieces {
        let _ = write!(svg, "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" overflow=\"visible\">{piece}</svg>");
    }
    legend(&mut svg, words);
    svg + "</svg>"
}

fn legend(svg: &mut String, words: &MountainWords) {
    let growing: Vec<&str> = GROWING.into_iter().map(Part::name).collect();
    let mut x = LEFT;
    for (name, colours) in words.legend.into_iter().zip([vec!["model"], growing]) {
        for colour in colours {
            let _ = write!(svg, "<rect x=\"{x:.1}\" y=\"603\" width=\"14\" height=\"14\" fill=\"{}\"/>", (words.colour)(colour));
            x += 14.0;
        }
        text(svg, [x + 8.0, 615.0], 14, &format!("fill=\"{}\"", (words.colour)("soft")), name);
        x += 40.0 + width_of(name, 14.0);
    }
}

fn text(svg: &mut String, [x, y]: [f64; 2], size: u32, attributes: &str, words: &str) {
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" {attributes}>{}</text>", escaped(words));
}

fn across(svg: &mut String, y: &str, attributes: &str) {
    let _ = write!(svg, "<line x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\" {attributes}/>");
}

/// The left edge of a mountain, in percent.
fn left_of(index: usize) -> f64 {
    SHARE * index as f64 + GAP
}

/// From the top, in percent.
fn percent_down(mountains: &Mountains, bytes: u64) -> String {
    format!("{:.2}%", 100.0 * (1.0 - bytes as f64 / mountains.top as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Pass, StrategyKind};

    #[test]
    fn an_outline_follows_the_columns_and_skips_those_of_the_same_height() {
        let column = |end, bytes| {
            let mut parts = [0; Part::ALL.len()];
            parts[Part::Logits as usize] = bytes;
            Column { end, pass: Pass::Forward, parts }
        };
        let columns = vec![column(100, 5), column(300, 10), column(400, 10), column(1000, 0)];
        let mountain = Mountain { kind: StrategyKind::Standard, peak: 10, columns };
        let path = outline(&mountain, 20, |column| column.parts[Part::Logits as usize]);
        assert_eq!(path, "M0 1000V750H100V500H400V1000H1000V1000Z");
    }

    #[test]
    fn every_part_is_the_models_or_grows() {
        assert!(Part::ALL.into_iter().all(|part| part.is_the_models() != GROWING.contains(&part)));
    }
}
