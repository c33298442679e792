//! The tables of `docs/performance.md` that are made from the files in `docs/measurements/`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::Result;

/// Where measurements lie, a file for each adapter and commit.
pub const DIRECTORY: &str = "docs/measurements";
const DOCUMENT: &str = "docs/performance.md";
/// Between these lines the document is made from the measurements.
const BEGIN: &str = "<!-- made by `cargo xtask gpu` from docs/measurements -->";
const END: &str = "<!-- end of what is made -->";
/// The number of operations that are listed of a step.
const OPS: usize = 5;

/// The name of a measurement's file.
pub fn slug(document: &Value) -> String {
    let name = text(&document["adapter"]["name"]);
    let words: Vec<String> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    format!("{}-{}", words.join("-"), text(&document["commit"]))
}

/// Writes the tables into the document.
pub fn write_document() -> Result {
    let made = made(Path::new("."))?;
    std::fs::write(DOCUMENT, made).map_err(|error| format!("{DOCUMENT}: {error}"))
}

/// The document with the tables of all measurements of a project in that directory.
fn made(root: &Path) -> Result<String> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let document = std::fs::read_to_string(root.join(DOCUMENT)).map_err(|error| unreadable(Path::new(DOCUMENT), &error))?;
    let entries = std::fs::read_dir(root.join(DIRECTORY)).map_err(|error| unreadable(Path::new(DIRECTORY), &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut tables = String::new();
    for path in paths {
        let measured = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        tables += &section(&serde_json::from_str(&measured).map_err(|error| unreadable(&path, &error))?);
    }
    let (before, rest) = document.split_once(BEGIN).ok_or_else(|| format!("{DOCUMENT} lacks the line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{DOCUMENT} lacks the line {END}"))?;
    Ok(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// The tables of a measurement.
fn section(measured: &Value) -> String {
    let mut out = String::new();
    let adapter = &measured["adapter"];
    let driver = text(&adapter["driver"]);
    let tests = match measured["tests"].as_bool() {
        Some(true) => "; the tests of kernels and of equal bits pass",
        Some(false) => "; tests FAIL",
        None => "",
    };
    let _ = writeln!(out, "\n### {}\n", text(&adapter["name"]));
    let _ = writeln!(
        out,
        "{driver}, commit {}, {}{tests}. The fma ceiling is {}.\n",
        text(&measured["commit"]),
        text(&measured["date"]),
        gflops(&measured["fma_gflops"])
    );
    out += "| product of square matrices | size | | of the fma ceiling |\n|---|---|---|---|\n";
    for product in list(&measured["matmul"]) {
        let share = 100.0 * number(&product["gflops"]) / number(&measured["fma_gflops"]);
        let _ = writeln!(out, "| `{}` | {} | {} | {share:.0}% |", text(&product["form"]), product["size"], gflops(&product["gflops"]));
    }
    out += "\n| step | `checkpoint` | `stream` by `auto` | 1,024 | 512 | 128 | bits |\n|---|---|---|---|---|---|---|\n";
    for row in list(&measured["rows"]) {
        let strategies = list(&row["strategies"]);
        let millis = |strategy: &Value| number(&strategy["step_millis"]["median"]);
        let checkpoint = millis(&strategies[0]);
        let cell = |(place, strategy): (usize, &Value)| {
            let share = millis(strategy) / checkpoint;
            match place {
                0 => time(millis(strategy)),
                1 => format!("{} ({share:.2}), chunks of {}", time(millis(strategy)), strategy["chunk"]),
                _ => format!("{} ({share:.2})", time(millis(strategy))),
            }
        };
        let cells: Vec<String> = strategies.iter().enumerate().map(cell).collect();
        let bits = if row["same_bits"].as_bool() == Some(true) { "the same" } else { "DIFFER" };
        let _ = writeln!(out, "| {}, {} tokens | {} | {bits} |", text(&row["model"]), row["tokens"], cells.join(" | "));
    }
    if let Some(row) = list(&measured["rows"]).first() {
        out += &operations(row);
    }
    let left_out: Vec<&str> = list(&measured["left_out"]).iter().map(text).collect();
    if !left_out.is_empty() {
        let _ = writeln!(out, "\nToo slow here for a run of five minutes: {}.", left_out.join("; "));
    }
    out
}

/// The most expensive operations of a step by `auto`.
fn operations(row: &Value) -> String {
    let strategy = &row["strategies"][1];
    let all = number(&strategy["step_millis"]["median"]);
    let mut out = format!(
        "\nOf a step of {} on {} tokens by `auto`:\n\n| operation | time | of the step | of its roofline |\n|---|---|---|---|\n",
        text(&row["model"]),
        row["tokens"]
    );
    for op in list(&strategy["ops"]).iter().take(OPS) {
        let name = format!("{} {} {}", text(&op["pass"]), text(&op["op"]), text(&op["of"]));
        let (millis, roof) = (number(&op["millis"]), 100.0 * number(&op["roof_share"]));
        let _ = writeln!(out, "| {} | {} | {:.0}% | {roof:.0}% |", name.trim_end(), time(millis), 100.0 * millis / all);
    }
    out
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn gflops(value: &Value) -> String {
    match number(value) {
        large if large >= 10_000.0 => format!("{:.1} TFLOP/s", large / 1e3),
        small => format!("{small:.0} GFLOP/s"),
    }
}

fn time(millis: f64) -> String {
    match millis {
        long if long >= 10_000.0 => format!("{:.1} s", long / 1e3),
        long if long >= 1000.0 => format!("{:.2} s", long / 1e3),
        short if short >= 100.0 => format!("{short:.0} ms"),
        short => format!("{short:.1} ms"),
    }
}

/// The date of a day after 1 January 1970, in the Gregorian calendar.
pub fn civil_date(days: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut days) = (1970, days);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_tables_of_the_measurements() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let document = std::fs::read_to_string(root.join(DOCUMENT)).unwrap();
        assert!(made(root).unwrap() == document, "run `cargo xtask gpu --tables`");
    }

    #[test]
    fn days_have_dates() {
        assert_eq!([0, 59, 11_016, 20_786].map(civil_date), ["1970-01-01", "1970-03-01", "2000-02-29", "2026-11-29"]);
    }
}
