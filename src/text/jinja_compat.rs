//! Compatibility with Python's Jinja, for which chat templates are written: `tojson`, `strftime_now`.

use std::io;

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The filter `tojson`: Python's `json.dumps` with `ensure_ascii=False`.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<(String, String)> = match options.get::<Option<Value>>("separators")? {
        Some(pair) => Some((pair.get_item(&Value::from(0))?.to_string(), pair.get_item(&Value::from(1))?.to_string())),
        None => None,
    };
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson with ensure_ascii=True is not supported"));
    }
    options.assert_all_used()?;
    let behind_items = if indent.is_some() { "," } else { ", " };
    let (item, key) = separators.unwrap_or((behind_items.to_owned(), ": ".to_owned()));
    let mut json = Vec::new();
    let style = Style { indent, item, key, depth: 0, is_empty: true };
    value
        .serialize(&mut Serializer::with_formatter(&mut json, style))
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("tojson cannot write that ({e})")))?;
    Ok(Value::from(String::from_utf8(json).expect("JSON is UTF-8 text")))
}

struct Style {
    indent: Option<usize>,
    /// The separator of items.
    item: String,
    /// The separator of a key and its value.
    key: String,
    depth: usize,
    is_empty: bool,
}

impl Style {
    fn open(&mut self, w: &mut (impl io::Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        w.write_all(bracket)
    }

    fn close(&mut self, w: &mut (impl io::Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.line(w)?;
        }
        self.is_empty = false;
        w.write_all(bracket)
    }

    fn next(&mut self, w: &mut (impl io::Write + ?Sized), is_first: bool) -> io::Result<()> {
        self.is_empty = false;
        if !is_first {
            w.write_all(self.item.as_bytes())?;
        }
        self.line(w)
    }

    fn line(&self, w: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(w, "\n{}", " ".repeat(indent * self.depth)),
            None => Ok(()),
        }
    }
}

impl Formatter for Style {
    fn begin_array<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.open(w, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.close(w, b"]")
    }

    fn begin_array_value<W: io::Write + ?Sized>(&mut self, w: &mut W, is_first: bool) -> io::Result<()> {
        self.next(w, is_first)
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.open(w, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.close(w, b"}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, w: &mut W, is_first: bool) -> io::Result<()> {
        self.next(w, is_first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(self.key.as_bytes())
    }
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The function `strftime_now`, at `seconds` since 1970 in UTC.
pub(super) fn format_time(format: &str, seconds: u64) -> Result<String, Error> {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let [hour, minute] = [second / 3600, second / 60 % 60];
    let (month_name, day_name) = (MONTHS[month - 1], DAYS[(days % 7) as usize]);
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        text += &match characters.next() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('B') => month_name.to_owned(),
            Some('b') => month_name[..3].to_owned(),
            Some('d') => format!("{day:02}"),
            Some('-') if characters.as_str().starts_with('d') => {
                characters.next();
                day.to_string()
            }
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('p') => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{:02}", second % 60),
            Some('%') => "%".to_owned(),
            other => {
                let code: String = other.into_iter().collect();
                return Err(Error::new(ErrorKind::InvalidOperation, format!("strftime_now knows no %{code}")));
            }
        };
    }
    Ok(text)
}

/// The year, month and day of the month, `days` after the first day of 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
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
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use minijinja::Environment;

    use super::*;

    fn rendered(template: &str, json: &str) -> String {
        let mut environment = Environment::new();
        environment.add_filter("tojson", to_json);
        let x: Value = serde_json::from_str(json).unwrap();
        environment.render_str(template, minijinja::context! { x }).unwrap()
    }

    /// The expected texts are the output of Python's `json.dumps`.
    #[test]
    fn json_is_written_as_python_does() {
        let json = r#"{"b":[1,2.5,{}],"a":{"é":"<&'\n","n":null,"t":true},"e":[]}"#;
        assert_eq!(rendered("{{ x | tojson }}", json), r#"{"b": [1, 2.5, {}], "a": {"é": "<&'\n", "n": null, "t": true}, "e": []}"#);
        let indented = "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"e\": []\n}";
        assert_eq!(rendered("{{ x | tojson(indent=2) }}", r#"{"b":[1,{}],"e":[]}"#), indented);
        assert_eq!(rendered("{{ x | tojson(separators=(',', ':')) }}", r#"{"b": [1, 2]}"#), r#"{"b":[1,2]}"#);
    }

    #[test]
    fn times_are_written_as_python_does() {
        let at = |format, seconds| format_time(format, seconds).unwrap();
        assert_eq!(at("%d %b %Y", 0), "01 Jan 1970");
        assert_eq!(at("%A, %-d %B %y %H:%M:%S %I %p 100%%", 1_709_210_096), "Thursday, 29 February 24 12:34:56 12 PM 100%");
        assert_eq!(at("%a %Y-%m-%d", 4_107_542_400), "Mon 2100-03-01");
        assert!(format_time("%Q", 0).unwrap_err().to_string().contains("%Q"));
    }
}
