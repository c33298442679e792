//! Options that several commands share, and how sizes are read and written.

use clap::Args;
use streambp::step::{Strategy, StrategyKind, TOKEN_TILE};

/// Which strategy, in chunks of which length.
#[derive(Args, Clone, Copy)]
pub struct StrategyOptions {
    /// standard, checkpoint or stream
    #[arg(long, default_value = "stream")]
    pub strategy: StrategyKind,
    /// Tokens of a chunk in the layers, rounded up to a multiple of 64 (for stream)
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub chunk: u32,
    /// Tokens of a chunk of logits, rounded up to a multiple of 64 (for stream) [default: that of --chunk]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub logits_chunk: Option<u32>,
}

impl StrategyOptions {
    /// The strategy; if a length had to be rounded, it says so on standard error.
    pub fn resolve(self) -> Strategy {
        let logits_chunk = self.logits_chunk.unwrap_or(self.chunk);
        if self.strategy == StrategyKind::Stream {
            for (name, asked) in [("--chunk", Some(self.chunk)), ("--logits-chunk", self.logits_chunk)] {
                if let Some(asked) = asked.filter(|asked| !asked.is_multiple_of(TOKEN_TILE)) {
                    let rounded = asked.next_multiple_of(TOKEN_TILE);
                    eprintln!("note: {name} {asked} is rounded up to {rounded}, a multiple of the token tile of {TOKEN_TILE}");
                }
            }
        }
        Strategy::new(self.strategy, self.chunk, logits_chunk)
    }
}

/// Reads `512MiB`, `2GB`, `1.5 GiB` or a number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim().to_ascii_lowercase());
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024f64.powi(2),
        "gib" => 1024f64.powi(3),
        "tib" => 1024f64.powi(4),
        _ => return Err(format!("\"{unit}\" is no unit of bytes; use MB, GB, MiB or GiB")),
    };
    let number: f64 = number.parse().map_err(|_| format!("\"{text}\" is no number of bytes"))?;
    Ok((number * factor) as u64)
}

/// Bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Prints a JSON document.
pub fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string(value).expect("plain data can be written as JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_the_usual_units() {
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("2 GB"), Ok(2_000_000_000));
        assert_eq!(parse_bytes("1000"), Ok(1000));
        assert!(parse_bytes("many").is_err());
        assert!(parse_bytes("3 lots").is_err());
    }
}
