//! An attention map as it is drawn: a square of cells, with the tokens for which each stands.

use super::svg_export::{escaped, text};
use crate::train::AttentionPattern;
use crate::web::axis::Scale;

/// The attention map of a head after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMap {
    /// The step.
    pub step: u64,
    /// The weights.
    pub pattern: AttentionPattern,
    texts: Vec<String>,
}

/// A cell, with positions in the sequence counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionCell {
    /// The position of the query.
    pub query: u32,
    /// The first and the last position of the keys.
    pub keys: [u32; 2],
    /// The largest weight of these keys.
    pub weight: f32,
}

impl AttentionMap {
    /// `texts` are those of the sequence's tokens.
    pub fn new(step: u64, pattern: AttentionPattern, texts: Vec<String>) -> Self {
        AttentionMap { step, pattern, texts }
    }

    /// Tokens of the sequence.
    pub fn tokens(&self) -> u32 {
        self.pattern.keys.end - self.pattern.keys.start
    }

    /// Rows, and as many columns.
    pub fn side(&self) -> usize {
        self.pattern.weights.len()
    }

    /// The weight that has the full colour: the largest of the second half of the rows. The first rows see few tokens, so that their weights
    /// are large whatever the head does, and would leave the others pale.
    pub fn full_colour(&self) -> f32 {
        self.pattern.weights[self.side() / 2..].iter().flatten().copied().fold(0.0, f32::max)
    }

    /// All weights, row by row, and none above the full colour.
    pub fn colours(&self) -> Vec<f32> {
        let full = self.full_colour();
        self.pattern.weights.iter().flatten().map(|&weight| weight.min(full)).collect()
    }

    /// The cell in a row and a column.
    pub fn cell(&self, [row, column]: [usize; 2]) -> AttentionCell {
        let (first, stride) = (column as u32 * self.pattern.stride + 1, self.pattern.stride);
        AttentionCell {
            query: self.pattern.queries[row] - self.pattern.keys.start + 1,
            keys: [first, (first + stride - 1).min(self.tokens())],
            weight: self.pattern.weights[row][column],
        }
    }

    /// The row and the column at shares of the height and of the width.
    pub fn at(&self, shares: [f64; 2]) -> [usize; 2] {
        shares.map(|share| ((share.max(0.0) * self.side() as f64) as usize).min(self.side() - 1))
    }

    /// In the last row, the column with the largest weight.
    pub fn strongest_of_last(&self) -> [usize; 2] {
        let row = self.side() - 1;
        let strongest = self.pattern.weights[row].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        [row, strongest.map_or(0, |(column, _)| column)]
    }

    /// The text of the token at a position, with marks for what cannot be seen.
    pub fn text(&self, position: u32) -> String {
        self.texts.get(position as usize - 1).map_or_else(String::new, |text| text.chars().map(visible).collect())
    }
}

/// The words and the picture of an attention map in a file.
pub struct AttentionWords<'a> {
    /// The first line.
    pub title: &'a str,
    /// The second line.
    pub about: &'a str,
    /// What the columns and the rows are.
    pub axes: [&'a str; 2],
    /// The cells as a picture of one pixel each: the address of its data.
    pub cells: &'a str,
    /// A colour of the style sheet, by its name there.
    pub colour: &'a dyn Fn(&str) -> String,
}

/// Pixels of the picture, and of its square of cells.
const FILE: [u32; 2] = [720, 800];
const SQUARE: f64 = 600.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 96.0;

impl AttentionMap {
    /// Draws it as SVG that stands for itself.
    pub fn file(&self, words: &AttentionWords) -> String {
        let ([width, height], colour) = (FILE, words.colour);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{}\"><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\
             <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{SQUARE}\" height=\"{SQUARE}\" fill=\"{}\"/>\
             <image x=\"{LEFT}\" y=\"{TOP}\" width=\"{SQUARE}\" height=\"{SQUARE}\" image-rendering=\"pixelated\" href=\"{}\"/>",
            colour("ink"),
            colour("panel"),
            colour("track"),
            words.cells
        );
        text(&mut svg, 20.0, 32.0, 20, words.title);
        text(&mut svg, 20.0, 54.0, 13, words.about);
        text(&mut svg, LEFT, TOP - 10.0, 13, words.axes[1]);
        text(&mut svg, LEFT, TOP + SQUARE + 52.0, 13, words.axes[0]);
        for &position in Scale::counts(1, u64::from(self.tokens())).ticks() {
            let place = SQUARE * (position - 0.5) / f64::from(self.tokens());
            let name = escaped(&format!("{position} {}", self.text(position as u32)));
            let (right, middle) = (LEFT - 8.0, LEFT + place);
            svg += &format!("<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", TOP + place + 4.0);
            svg += &format!("<text x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>", TOP + SQUARE + 20.0);
        }
        svg + "</svg>"
    }
}

/// The text of a byte as a token.
pub fn byte_text(id: u32) -> String {
    // A byte beyond ASCII is only a part of a character.
    u8::try_from(id).ok().filter(u8::is_ascii).map_or(char::REPLACEMENT_CHARACTER, char::from).to_string()
}

/// A character, or a mark for one that cannot be seen.
pub fn visible(c: char) -> char {
    match c {
        '\n' => '⏎',
        ' ' => '␣',
        '\t' => '⇥',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(stride: u32, tokens: u32) -> AttentionMap {
        let side = tokens.div_ceil(stride);
        let queries: Vec<u32> = (0..side).rev().map(|i| 100 + tokens - 1 - i * stride).collect();
        let row = |i: u32| {
            (0..side)
                .map(|j| {
                    if j != i / 2 {
                        0.0
                    } else if i == 0 {
                        1.0
                    } else {
                        0.75
                    }
                })
                .collect()
        };
        let weights = (0..side).map(row).collect();
        let pattern =
            AttentionPattern { layer: 0, head: 0, queries, keys: 100..100 + tokens, stride, weights, input_ids: vec![65; tokens as usize] };
        AttentionMap::new(7, pattern, (0..tokens).map(|i| byte_text(if i == 2 { 10 } else { 65 + i % 26 })).collect())
    }

    #[test]
    fn cells_stand_for_positions_counted_from_one() {
        let map = map(1, 6);
        assert_eq!((map.side(), map.tokens(), map.full_colour()), (6, 6, 0.75));
        assert!(map.colours().len() == 36 && map.colours()[0] == 0.75, "the first token's weight of 1 does not decide about the colours");
        assert_eq!(map.cell([5, 2]), AttentionCell { query: 6, keys: [3, 3], weight: 0.75 });
        assert_eq!(map.strongest_of_last(), [5, 2]);
        assert_eq!([map.at([0.0, 0.99]), map.at([0.5, 1.0]), map.at([-1.0, 2.0])], [[0, 5], [3, 5], [0, 5]]);
        assert_eq!([1, 3].map(|position| map.text(position)), ["A", "⏎"]);
        assert_eq!(
            [byte_text(32), byte_text(200), byte_text(9999)].map(|text| text.chars().map(visible).collect::<String>()),
            ["␣", "\u{fffd}", "\u{fffd}"]
        );
    }

    #[test]
    fn cells_of_a_long_sequence_stand_for_several_keys() {
        let map = map(4, 10);
        assert_eq!(map.side(), 3);
        assert_eq!([0, 1, 2].map(|row| map.cell([row, row]).query), [2, 6, 10]);
        assert_eq!([0, 1, 2].map(|column| map.cell([0, column]).keys), [[1, 4], [5, 8], [9, 10]]);
    }
}
