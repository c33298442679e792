//! Compatibility with Python's Jinja, for which chat templates are written: `tojson`, `strftime_now`.

use std::io;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
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

/// The function `strftime_now`, at `seconds` since 1970 in UTC.
pub(super) fn format_time(format: &str, seconds: u64) -> Result<String, Error> {
    let impossible =
        |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now cannot write \"{format}\": {error}"));
    let now = Timestamp::from_second(seconds.try_into().unwrap_or(i64::MAX)).map_err(impossible)?;
    strtime::format(format, &now.to_zoned_datetime(TimeZone::UTC)).map_err(impossible)
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
        assert!(format_time("%K", 0).unwrap_err().to_string().contains("%K"));
    }
}
