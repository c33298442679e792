//! The values of a text of JSON lines, or of a JSON array, each with the line on which it begins.

use std::ffi::OsStr;
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use crate::error::Error;

/// A value's text, with the number of its line from 1.
pub(super) type Value<'t> = (usize, &'t str);

/// Does a file or an address have the name of JSON lines? Then whatever it holds has to be rows.
pub fn is_named_as_rows(file: &str) -> bool {
    matches!(extension(file).as_str(), "jsonl" | "ndjson")
}

/// The extension of a file or an address, in lower case.
pub(super) fn extension(file: &str) -> String {
    let path = file.split(['?', '#']).next().unwrap_or(file);
    Path::new(path).extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase()
}

/// The values of a text: the elements of an array, values one after another, or else its lines, of which empty ones are skipped.
///
/// # Errors
/// The line of an array at which it breaks off, and the problem.
pub(super) fn values(text: &str) -> Result<Vec<Value<'_>>, (usize, String)> {
    let first_line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_whole = |value: &str| serde_json::from_str::<IgnoredAny>(value).is_ok();
    if text.trim_start().starts_with('[') && (is_whole(text) || !is_whole(first_line)) {
        return elements(text);
    }
    if text.trim_start().starts_with('{')
        && !is_whole(first_line)
        && let Some(values) = one_after_another(text)
    {
        return Ok(values);
    }
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    Ok(lines.map(|(line, number)| (number, line)).collect())
}

/// Reads the rows of a text, which begins with no mark, each with its line. `read` gives a row, or a sentence about its problem. `file` is for
/// error messages.
///
/// # Errors
/// [`Error::Data`] with the line and its problem.
pub(super) fn read_rows<R>(file: &str, text: &str, read: impl Fn(&str) -> Result<R, String>) -> crate::error::Result<Vec<(usize, R)>> {
    let broken = |(number, problem): (usize, String)| Error::Data(format!("{file}, line {number}: {problem}"));
    let row = |(number, json): Value<'_>| read(json).map(|row| (number, row)).map_err(|problem| broken((number, problem)));
    values(text).map_err(broken)?.into_iter().map(row).collect()
}

/// The first element of an array, however the array goes on.
pub(super) fn first_element(text: &str) -> Option<&str> {
    Place::behind_bracket(text).value().ok()
}

/// The elements of an array.
fn elements(text: &str) -> Result<Vec<Value<'_>>, (usize, String)> {
    let mut place = Place::behind_bracket(text);
    let mut elements = Vec::new();
    loop {
        place.skip_blanks();
        if elements.is_empty() && place.rest().starts_with(']') {
            return Ok(elements);
        }
        let line = place.line;
        elements.push((line, place.value().map_err(|problem| (line, problem))?));
        place.skip_blanks();
        match place.rest().chars().next() {
            Some(',') => place.advance(1),
            Some(']') => return Ok(elements),
            _ => return Err((place.line, "the array is not closed".to_owned())),
        }
    }
}

/// Values with nothing but white space between them. `None` if there is anything else.
fn one_after_another(text: &str) -> Option<Vec<Value<'_>>> {
    let mut place = Place { text, at: 0, line: 1 };
    let mut values = Vec::new();
    loop {
        place.skip_blanks();
        if place.rest().is_empty() {
            return Some(values);
        }
        values.push((place.line, place.value().ok()?));
    }
}

/// A place in a text.
struct Place<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Place<'t> {
    /// The first element of an array, if that is not empty.
    fn behind_bracket(text: &'t str) -> Self {
        let mut place = Place { text, at: 0, line: 1 };
        place.skip_blanks();
        place.advance(1);
        place.skip_blanks();
        place
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.line += self.rest()[..bytes].matches('\n').count();
        self.at += bytes;
    }

    fn skip_blanks(&mut self) {
        self.advance(self.rest().len() - self.rest().trim_start().len());
    }

    /// The value that begins here.
    fn value(&mut self) -> Result<&'t str, String> {
        let rest = self.rest();
        let mut values = Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let end = values.byte_offset();
                self.advance(end);
                Ok(&rest[..end])
            }
            Some(Err(error)) => Err(format!("the JSON is broken ({error}, counted from here)")),
            None => Err("the JSON ends too early".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_lines_in_an_array_or_one_after_another() {
        assert_eq!(values("{\"a\": 1}\r\n\n {\"b\": 2}\n").unwrap(), [(1, "{\"a\": 1}"), (3, " {\"b\": 2}")]);
        assert_eq!(values(" [{\"a\": [1,\n2]}\n, {\"b\": \"]\"}\n]\n").unwrap(), [(1, "{\"a\": [1,\n2]}"), (3, "{\"b\": \"]\"}")]);
        assert_eq!(values("{\n\"a\": 1}\n{\n\"b\": 2\n}").unwrap(), [(1, "{\n\"a\": 1}"), (3, "{\n\"b\": 2\n}")]);
        assert_eq!(values("[1, 2]\n[3]\n").unwrap(), [(1, "[1, 2]"), (2, "[3]")]);
        assert_eq!(values("[]").unwrap(), []);
        assert_eq!(values("{\n\"a\": 1}\nand so on").unwrap().len(), 3);
        let (line, said) = values("[{\"a\": 1},\n{\"a\": 1\n").unwrap_err();
        assert!(line == 2 && said.contains("broken"), "{said}");
    }
}
