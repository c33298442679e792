//! What See shows: the three mountains of memory, in the words of a language.
//!
//! In English and at the first length, the same markup stands in the page's HTML, so that it is painted before the program is there. The
//! page then draws it by the same functions.

use super::charts::{Mountain, MountainWords, Mountains, PASSES, axis, mountains_file, passes, plot, single};
use super::form::{Adapter, Form};
use super::format::{bytes, whole};
use super::i18n::{Texts, fill};
use super::route::{Address, PROOF, Route};
use crate::step::StrategyKind;

/// The length that is shown first, and the ends of the slider.
pub const FIRST: u32 = 8192;
/// The shortest one.
pub const SHORTEST: u32 = 512;
/// The longest one.
pub const LONGEST: u32 = 32_768;

/// The nearest length that the slider has.
pub fn within(tokens: u32) -> u32 {
    tokens.clamp(SHORTEST, LONGEST)
}

/// The mountains of the first form's model and budget.
pub fn mountains(tokens: u32) -> Mountains {
    let form = Form::default();
    let (plan, budget) = (form.plan(&Adapter::default()), form.budget());
    Mountains::of(&plan.expect("the first form makes sense"), budget.expect("so does its budget"), tokens)
}

/// The name of a strategy.
pub fn name(t: &Texts, kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::Standard => t.see.standard,
        StrategyKind::Checkpoint => t.see.checkpoint,
        StrategyKind::Stream => t.see.stream,
    }
}

/// What it does, in a few words.
fn about(t: &Texts, kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::Standard => t.see.standard_about,
        StrategyKind::Checkpoint => t.see.checkpoint_about,
        StrategyKind::Stream => t.see.stream_about,
    }
}

/// By how much a peak is over or under the budget. No line ends between the number and its unit.
fn verdict(t: &Texts, mountains: &Mountains, mountain: &Mountain) -> String {
    let unbroken = |count: u64| bytes(count).replace(' ', "\u{a0}");
    match mountains.over(mountain) {
        Some(over) => fill(t.see.over, &[("bytes", &unbroken(over))]),
        None => fill(t.see.under, &[("bytes", &unbroken(mountains.budget - mountain.peak))]),
    }
}

/// What the picture is of.
pub fn caption(t: &Texts, mountains: &Mountains) -> String {
    fill(t.see.about, &[("tokens", &whole(u64::from(mountains.tokens)))])
}

fn words<'a>(t: &'a Texts, mountains: &Mountains, colour: &'a dyn Fn(&str) -> String) -> MountainWords<'a> {
    MountainWords {
        title: t.see.sentence.to_owned(),
        about: caption(t, mountains),
        strategies: StrategyKind::ALL.map(|kind| name(t, kind)),
        verdicts: mountains.all.each_ref().map(|mountain| format!("{}: {}", bytes(mountain.peak), verdict(t, mountains, mountain))),
        budget: fill(t.see.budget, &[("mebibytes", &(mountains.budget >> 20))]),
        passes: PASSES.map(|(pass, _)| t.pass(pass)),
        legend: [t.see.model, t.see.grows],
        colour,
    }
}

/// The length and the peaks in a sentence.
pub fn spoken(t: &Texts, mountains: &Mountains) -> String {
    let peaks = mountains.all.each_ref().map(|mountain| format!("{} {}", name(t, mountain.kind), bytes(mountain.peak)));
    format!("{}: {}", length(t, mountains.tokens), peaks.join(", "))
}

/// A length in words.
pub fn length(t: &Texts, tokens: u32) -> String {
    fill(t.see.tokens, &[("tokens", &whole(u64::from(tokens)))])
}

/// Where the proof is that all strategies give the same bits.
pub struct Proof<'a> {
    /// The address.
    pub address: &'a str,
    /// Is the picture in a frame, which the link has to leave?
    pub is_framed: bool,
}

/// The list of strategies with their peaks, each above its mountain.
pub fn peaks(t: &Texts, mountains: &Mountains, proof: &Proof) -> String {
    let address = proof.address.replace('&', "&amp;").replace('"', "&quot;");
    let target = if proof.is_framed { " target=\"_blank\"" } else { "" };
    let item = |mountain: &Mountain| {
        let class = if mountains.over(mountain).is_some() { "over" } else { "under" };
        let chip = match mountain.kind {
            StrategyKind::Stream => format!(" <a class=\"same-bits\" href=\"{address}\"{target}>{}</a>", t.see.same_bits),
            StrategyKind::Standard | StrategyKind::Checkpoint => String::new(),
        };
        format!(
            "<li data-strategy=\"{}\" data-peak-bytes=\"{}\" class=\"{class}\"><h2>{}{chip}</h2><p class=\"how\">{}</p>\
             <p class=\"peak-bytes\"><strong>{}</strong> <span>{}</span></p></li>\n",
            mountain.kind,
            mountain.peak,
            name(t, mountain.kind),
            about(t, mountain.kind),
            bytes(mountain.peak),
            verdict(t, mountains, mountain)
        )
    };
    mountains.all.iter().map(item).collect()
}

/// The mountains with their axes, in the colours of the style sheet.
pub fn picture(t: &Texts, mountains: &Mountains) -> String {
    let colour = |name: &str| format!("var(--{name})");
    let words = words(t, mountains, &colour);
    format!(
        "<svg class=\"see-axis\" aria-hidden=\"true\">{}</svg>\n<svg class=\"mountains\" role=\"img\" aria-label=\"{}\">{}</svg>\n\
         <svg class=\"see-passes\" aria-hidden=\"true\">{}</svg>\n",
        axis(mountains, &words),
        words.about,
        plot(mountains, &words),
        passes(&words)
    )
}

/// One mountain with its axis.
pub fn single_picture(t: &Texts, mountains: &Mountains, kind: StrategyKind) -> String {
    let colour = |name: &str| format!("var(--{name})");
    let words = words(t, mountains, &colour);
    format!(
        "<svg class=\"see-axis\" aria-hidden=\"true\">{}</svg>\n<svg class=\"mountains\" role=\"img\" aria-label=\"{}, {}\">{}</svg>\n",
        axis(mountains, &words),
        name(t, kind),
        words.about,
        single(mountains, &mountains.all[kind as usize], &words)
    )
}

/// The picture as a file.
pub fn file(t: &Texts, mountains: &Mountains, colour: &dyn Fn(&str) -> String) -> String {
    mountains_file(mountains, &words(t, mountains, colour))
}

/// The address of the proof, in the first form's settings.
pub fn proof() -> String {
    format!("#{}", Address { route: Route::Lab, section: Some(PROOF.to_owned()), ..Address::default() }.fragment())
}

/// The bar as far as it is there before the program. Its links work already.
fn first_bar(t: &Texts) -> String {
    let link = |route: Route| {
        let here = if route == Route::See { " aria-current=\"page\"" } else { "" };
        format!("<a href=\"#{}\"{here}>{}</a>", Address { route, ..Address::default() }.fragment(), t.route(route))
    };
    format!(
        "<header id=\"first-bar\">\n<p class=\"brand\">{}</p>\n<nav aria-label=\"{}\">{}</nav>\n</header>\n",
        t.bar.title,
        t.bar.views,
        Route::ALL.map(link).concat()
    )
}

/// What stands in the page's HTML: the bar, and the picture at the first length.
pub fn first_picture() -> String {
    let (t, mountains) = (Texts::english(), mountains(FIRST));
    first_bar(t)
        + &format!(
            "<div id=\"first-picture\" class=\"see\">\n<h1>{}</h1>\n<ol class=\"peaks\">\n{}</ol>\n<div class=\"see-picture\"><div>\n{}</div></div>\n</div>\n",
            t.see.sentence,
            peaks(t, &mountains, &Proof { address: &proof(), is_framed: false }),
            picture(t, &mountains)
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::i18n::LANGUAGES;

    /// The file that index.html takes in.
    const FILE: &str = "www/first-picture.html";
    /// A variable that has the test write the file rather than compare it.
    const WRITE: &str = "STREAMBP_WRITE_FIRST_PICTURE";

    #[test]
    fn the_first_picture_in_the_html_is_the_planners() {
        let planned = first_picture();
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(FILE, &planned).unwrap();
        }
        let committed = std::fs::read_to_string(FILE).unwrap_or_default();
        assert!(committed == planned, "{FILE} is out of date: write it anew with `{WRITE}=1 cargo test --lib first_picture`");
    }

    #[test]
    fn two_are_over_the_budget_at_the_first_length_and_one_is_under() {
        let mountains = mountains(FIRST);
        let words = words(Texts::english(), &mountains, &|_| String::new());
        assert_eq!(
            words.verdicts,
            [
                "286 MiB: over the budget by 222\u{a0}MiB",
                "93.1 MiB: over the budget by 29.1\u{a0}MiB",
                "37.7 MiB: under the budget by 26.3\u{a0}MiB"
            ]
        );
    }

    #[test]
    fn an_address_stands_in_the_markup_as_it_is() {
        let proof = Proof { address: "#/lab?a=\"1\"&b=2", is_framed: true };
        let peaks = peaks(Texts::english(), &mountains(FIRST), &proof);
        assert!(peaks.contains("href=\"#/lab?a=&quot;1&quot;&amp;b=2\" target=\"_blank\""), "{peaks}");
    }

    #[test]
    fn texts_can_stand_in_markup() {
        for (language, _) in LANGUAGES {
            let file = std::fs::read_to_string(format!("www/texts/{language}.json")).unwrap();
            let texts: serde_json::Value = serde_json::from_str(&file).unwrap();
            let see = texts["see"].as_object().unwrap();
            let broken: Vec<_> = see.values().filter(|text| text.as_str().unwrap().contains(['<', '&', '"'])).collect();
            assert!(broken.is_empty() && !see.is_empty(), "{language}: {broken:?}");
        }
    }

    #[test]
    fn a_file_stands_for_itself() {
        for tokens in [SHORTEST, FIRST, LONGEST] {
            let svg = file(Texts::english(), &mountains(tokens), &|name| format!("#{name}"));
            assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>"));
            assert!(!svg.contains("var(") && !svg.contains("NaN") && !svg.contains("inf"));
            assert!(["Standard", "Checkpointing", "StreamBP", "forward", "64 MiB"].iter().all(|word| svg.contains(word)), "{svg}");
        }
    }
}
