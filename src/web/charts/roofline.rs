//! Every operation under the roof that the device's two ceilings make: how much it does with a byte, against how fast it is.

use std::fmt::Write;

use super::svg_export::{escaped, text, width_of};
use crate::gpu::Ceilings;
use crate::train::{Profile, RooflineRow};

/// What an operation is, as the picture colours it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Products with a matrix.
    Matrices,
    /// Attention.
    Attention,
    /// Everything else.
    Rest,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 3] = [Group::Matrices, Group::Attention, Group::Rest];

    /// That of an operation, by its name.
    pub fn of(op: &str) -> Group {
        match op {
            _ if op.starts_with("linear") => Group::Matrices,
            _ if op.starts_with("attention") => Group::Attention,
            _ => Group::Rest,
        }
    }

    /// Its colour in the style sheet.
    pub fn colour(self) -> &'static str {
        match self {
            Group::Matrices => "training",
            Group::Attention => "validation",
            Group::Rest => "layer-inputs",
        }
    }
}

/// The words and colours of the picture.
pub struct Words<'a> {
    /// The first line, or nothing.
    pub title: String,
    /// Beneath the picture, and at the top of its left side.
    pub axes: [&'a str; 2],
    /// What the flat part of the roof is, and the sloping one.
    pub roof: [String; 2],
    /// The names of [`Group::ALL`].
    pub groups: [&'a str; 3],
    /// An operation and its numbers.
    pub row: &'a dyn Fn(&RooflineRow) -> String,
    /// A colour of the style sheet, by its name there.
    pub colour: &'a dyn Fn(&str) -> String,
}

/// Operations that have their number in the table beside them.
const NUMBERED: usize = 8;
const TEXT: f64 = 12.0;
const LINE: f64 = 18.0;
const LEFT: f64 = 12.0;

impl Words<'_> {
    /// What a dot says of its operation: an attribute for the page's tooltip; in a file, a title.
    fn about(&self, row: &RooflineRow) -> (String, String) {
        let text = escaped(&(self.row)(row)).replace('"', "&quot;");
        match self.title.is_empty() {
            true => (format!(" data-tip=\"{text}\""), String::new()),
            false => (String::new(), format!("<title>{text}</title>")),
        }
    }
}

/// Draws it as SVG, so wide and so high.
pub fn roofline(profile: &Profile, [width, height]: [u32; 2], words: &Words) -> String {
    let (ink, panel) = ((words.colour)("ink"), (words.colour)("panel"));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" fill=\"{ink}\"><rect width=\"100%\" height=\"100%\" fill=\"{panel}\"/>"
    );
    let title = if words.title.is_empty() { 0.0 } else { 36.0 };
    text(&mut svg, LEFT, 28.0, 18, &words.title);
    text(&mut svg, LEFT, title + 14.0, 12, words.axes[1]);
    let (width, height) = (f64::from(width), f64::from(height));
    let bottom = legend(&mut svg, words, [width, height]) - 40.0;
    let top = title + 28.0;
    let plot = Plot { axes: Axes::of(profile), left: 48.0, top, width: width - 64.0, height: bottom - top };
    plot.scales(&mut svg, words);
    plot.operations(&mut svg, profile, words);
    svg + "</svg>"
}

/// The names of the groups, as many in a line as there is room for. Where they begin, from above.
fn legend(svg: &mut String, words: &Words, [width, height]: [f64; 2]) -> f64 {
    let (mut x, mut line) = (LEFT, 0.0);
    let places = words.groups.map(|name| {
        let room = 36.0 + width_of(name, TEXT);
        if x > LEFT && x + room > width {
            (x, line) = (LEFT, line + LINE);
        }
        let place = (x, line);
        x += room;
        place
    });
    let first = height - 12.0 - line;
    for ((group, name), (x, line)) in Group::ALL.into_iter().zip(words.groups).zip(places) {
        let (y, fill) = (first + line, (words.colour)(group.colour()));
        let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"6\" fill=\"{fill}\"/>", x + 6.0, y - 4.0);
        text(svg, x + 18.0, y, 12, name);
    }
    first - LINE
}

/// Logarithmic scales: powers of ten from and to, of operations a byte and of 10⁹ operations a second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axes {
    x: [i32; 2],
    y: [i32; 2],
}

impl Axes {
    /// With room for all that do some arithmetic, and for the ridge of the roof.
    fn of(profile: &Profile) -> Axes {
        let Ceilings { gflops, gigabytes_per_second, .. } = profile.ceilings;
        let mut points: Vec<[f64; 2]> = placed(profile).map(|(.., point)| point).collect();
        points.extend([0.5, 4.0].map(|share| [share * gflops / gigabytes_per_second, gflops]));
        let ends = |which: usize| {
            let low = points.iter().map(|point| point[which]).fold(f64::MAX, f64::min).log10().floor() as i32;
            let high = points.iter().map(|point| point[which]).fold(0.0, f64::max).log10().ceil() as i32;
            [low, high.max(low + 1)]
        };
        Axes { x: ends(0), y: ends(1) }
    }

    /// From the left and from below, as shares.
    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let share = |value: f64, [low, high]: [i32; 2]| (value.log10() - f64::from(low)) / f64::from(high - low);
        [share(x, self.x), share(y, self.y)]
    }
}

/// The operations that do some arithmetic, with their places in the table: operations a byte, and 10⁹ operations a second.
fn placed(profile: &Profile) -> impl Iterator<Item = (usize, &RooflineRow, [f64; 2])> {
    let rows = profile.rows.iter().enumerate().filter(|(_, row)| row.flops > 0 && row.seconds > 0.0);
    rows.map(|(index, row)| (index, row, [row.flops as f64 / row.bytes.max(1) as f64, row.flops as f64 / row.seconds / 1e9]))
}

/// The part of the picture that has the scales.
struct Plot {
    axes: Axes,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Plot {
    fn at(&self, point: [f64; 2]) -> [f64; 2] {
        let [x, y] = self.axes.place(point);
        [self.left + self.width * x, self.top + self.height * (1.0 - y)]
    }

    fn scales(&self, svg: &mut String, words: &Words) {
        let (line, soft) = ((words.colour)("line"), (words.colour)("soft"));
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        let style = format!("fill=\"{soft}\"");
        for power in self.axes.x[0]..=self.axes.x[1] {
            let [x, _] = self.at([10f64.powi(power), 1.0]);
            path(svg, &[[x, self.top], [x, bottom]], &line, 1);
            label(svg, [x, bottom + 16.0], "middle", &style, &power_of_ten(power));
        }
        for power in self.axes.y[0]..=self.axes.y[1] {
            let [_, y] = self.at([1.0, 10f64.powi(power)]);
            path(svg, &[[self.left, y], [right, y]], &line, 1);
            label(svg, [self.left - 6.0, y + 4.0], "end", &style, &power_of_ten(power));
        }
        label(svg, [self.left + self.width / 2.0, bottom + 34.0], "middle", "", words.axes[0]);
    }

    /// The dots, under what no operation can be above: the bytes hold it down on the left, the arithmetic on the right.
    fn operations(&self, svg: &mut String, profile: &Profile, words: &Words) {
        let Ceilings { gflops, gigabytes_per_second, .. } = profile.ceilings;
        let lowest = 10f64.powi(self.axes.x[0]).max(10f64.powi(self.axes.y[0]) / gigabytes_per_second);
        let start = self.at([lowest, lowest * gigabytes_per_second]);
        let ridge = self.at([gflops / gigabytes_per_second, gflops]);
        let end = self.at([10f64.powi(self.axes.x[1]), gflops]);
        path(svg, &[start, ridge, end], &(words.colour)("ink"), 2);
        self.dots(svg, profile, words);
        label(svg, [ridge[0], ridge[1] - 8.0], "start", &halo(words), &words.roof[0]);
        let slope = (ridge[1] - start[1]).atan2(ridge[0] - start[0]).to_degrees();
        let [x, y] = [0, 1].map(|i| f64::midpoint(start[i], ridge[i]));
        let turned = format!("transform=\"translate({x:.1} {y:.1}) rotate({slope:.1})\" {}", halo(words));
        label(svg, [0.0, -6.0], "middle", &turned, &words.roof[1]);
    }

    /// A dot for each operation, the dearest first, so that none hides a smaller one; its area is its time.
    fn dots(&self, svg: &mut String, profile: &Profile, words: &Words) {
        let dearest = profile.rows.first().map_or(1.0, |row| row.seconds);
        let panel = (words.colour)("panel");
        for (_, row, point) in placed(profile) {
            let [x, y] = self.at(point);
            let radius = (16.0 * (row.seconds / dearest).sqrt()).max(2.0);
            let fill = (words.colour)(Group::of(&row.op).colour());
            let (tip, title) = words.about(row);
            let _ = write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" fill-opacity=\".8\" stroke=\"{panel}\"{tip}>\
                 {title}</circle>"
            );
        }
        let mut named: Vec<[f64; 2]> = Vec::new();
        let style = format!("font-weight=\"700\" {}", halo(words));
        for (index, _, point) in placed(profile).take_while(|&(index, ..)| index < NUMBERED) {
            let at = self.at(point);
            // One upon the other could not be read.
            if named.iter().all(|other| (other[0] - at[0]).hypot(other[1] - at[1]) > TEXT) {
                label(svg, [at[0], at[1] + 4.0], "middle", &style, &(index + 1).to_string());
                named.push(at);
            }
        }
    }
}

/// Attributes of words that lie over dots.
fn halo(words: &Words) -> String {
    format!("stroke=\"{}\" stroke-width=\"3\" paint-order=\"stroke\"", (words.colour)("panel"))
}

fn power_of_ten(power: i32) -> String {
    10f64.powi(power).to_string()
}

fn path(svg: &mut String, points: &[[f64; 2]], colour: &str, width: u32) {
    let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
    let _ = write!(svg, "<path d=\"M {}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>", points.join(" L "));
}

/// A word at a point, with attributes of its own.
fn label(svg: &mut String, [x, y]: [f64; 2], anchor: &str, attributes: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{TEXT}\" text-anchor=\"{anchor}\" {attributes}>{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Pass;

    fn row(op: &str, flops: u64, bytes: u64, seconds: f64) -> RooflineRow {
        let (op, of, least_seconds) = (op.to_owned(), "a<b".to_owned(), seconds / 2.0);
        RooflineRow { pass: Pass::Forward, op, of, instances: 1, seconds, flops, bytes, least_seconds, is_arithmetic: true }
    }

    fn profile() -> Profile {
        let rows = vec![
            row("linear_grad", 40_000_000_000, 1_000_000_000, 2.0),
            row("attention", 9_000_000_000, 1_500_000_000, 1.0),
            row("rms_norm", 2_000_000, 4_000_000, 0.001),
            row("zero", 0, 1_000_000, 0.0005),
        ];
        Profile {
            ceilings: Ceilings { gflops: 60.0, gigabytes_per_second: 12.0, dispatch_seconds: 1e-6, workgroup_gflops: 20.0, is_cpu: true },
            seconds: 2.9,
            rows,
        }
    }

    #[test]
    fn a_roofline_has_a_dot_for_all_that_calculates_and_a_number_at_the_dearest() {
        let words = Words {
            title: "A & B".to_owned(),
            axes: ["x", "y"],
            roof: ["fma".to_owned(), "copy".to_owned()],
            groups: ["one", "two", "three"],
            row: &|row| format!("{} {}", row.op, row.of),
            colour: &|name| format!("#{name}"),
        };
        for size in [[680, 440], [340, 400]] {
            let svg = roofline(&profile(), size, &words);
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && svg.contains("A &amp; B") && svg.contains("linear_grad a&lt;b"));
            assert_eq!(svg.matches("<circle").count(), 3 + Group::ALL.len(), "{svg}");
            assert_eq!(svg.matches("font-weight").count(), 3, "a number at each, since none lies upon another");
            assert!(Group::ALL.iter().all(|group| svg.contains(&format!("#{}\"", group.colour()))));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
    }

    #[test]
    fn the_axes_hold_every_operation_and_the_ridge() {
        let (profile, axes) = (profile(), Axes::of(&profile()));
        let ridge = [profile.ceilings.gflops / profile.ceilings.gigabytes_per_second, profile.ceilings.gflops];
        for point in placed(&profile).map(|(.., point)| point).chain([ridge]) {
            assert!(axes.place(point).iter().all(|share| (0.0..=1.0).contains(share)), "{point:?}");
        }
        assert_eq!(axes, Axes { x: [-1, 2], y: [0, 2] });
    }
}
