//! Numbers for people.

/// Bytes with a unit and three digits.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{} {}", digits(value), UNITS[unit]),
    }
}

/// A positive number with three digits.
pub fn digits(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

/// A whole number in groups of three digits.
pub fn whole(value: u64) -> String {
    let text = value.to_string();
    let mut grouped = String::new();
    for (i, digit) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with its sign and so many digits behind the point.
pub fn signed(value: f32, digits: usize) -> String {
    format!("{value:+.digits$}").replace('-', "−")
}

/// Seconds, or milliseconds where that reads better.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} ms", digits(1e3 * seconds)) } else { format!("{} s", digits(seconds)) }
}

/// A message as a sentence: with a capital letter, unless it begins with a name such as `config.json`.
pub fn sentence(message: &str) -> String {
    let first = message.split_whitespace().next().unwrap_or_default();
    let mut letters = message.chars();
    match letters.next() {
        Some(letter) if first.chars().all(char::is_alphabetic) => letter.to_uppercase().chain(letters).collect(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "0.977 KiB");
        assert_eq!(bytes(1 << 20), "1.00 MiB");
        assert_eq!(bytes(150 << 20), "150 MiB");
        assert_eq!(bytes(3 << 29), "1.50 GiB");
    }

    #[test]
    fn whole_numbers_are_grouped() {
        assert_eq!(whole(7), "7");
        assert_eq!(whole(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn names_keep_their_letters() {
        assert_eq!(sentence("the file is empty"), "The file is empty");
        for message in ["config.json: hidden_size is missing", "model-00001-of-00003.safetensors: damaged", "한국어", ""] {
            assert_eq!(sentence(message), message);
        }
    }
}
