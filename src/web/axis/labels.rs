//! The labels of ticks.

use crate::web::format::bytes;

/// A number with as many digits as it takes to tell it from its neighbours.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        _ => format!("{}", (value * 1e4).round() / 1e4),
    }
}

/// Bytes without digits that say nothing: 16 MiB rather than 16.0 MiB.
pub fn short_bytes(value: f64) -> String {
    if value < 1.0 {
        return "0".to_owned();
    }
    let text = bytes(value as u64);
    let (number, unit) = text.split_once(' ').expect("bytes have a unit");
    format!("{} {unit}", number.parse::<f64>().unwrap_or(value))
}

/// Tokens as lengths of contexts are named: 512, 8K, 1.5M.
pub fn tokens(tokens: f64) -> String {
    let short = |value: f64, unit: &str| {
        let digits = usize::from(value < 100.0 && value.fract() > 0.04);
        format!("{value:.digits$}{unit}")
    };
    match tokens {
        ..1024.0 => format!("{tokens:.0}"),
        1024.0..1_048_576.0 => short(tokens / 1024.0, "K"),
        _ => short(tokens / 1_048_576.0, "M"),
    }
}

/// Moves labels apart that stand too close to one another; none leaves 0 to 100 if there is room for all.
pub fn spread(places: &[f64], gap: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let mut spread = places.to_vec();
    for pair in order.windows(2) {
        spread[pair[1]] = spread[pair[1]].max(spread[pair[0]] + gap);
    }
    let mut most = 100.0;
    for &index in order.iter().rev() {
        spread[index] = spread[index].min(most);
        most = spread[index] - gap;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short() {
        assert_eq!([0.0, 0.25, 4.0, 1e-5, 2e6].map(number), ["0", "0.25", "4", "1.0e-5", "2.0e6"]);
        assert_eq!([0.0, 512.0, 16_777_216.0, 1.5 * 1_073_741_824.0].map(short_bytes), ["0", "512 B", "16 MiB", "1.5 GiB"]);
        assert_eq!([512.0, 1024.0, 12_345.0, f64::from(3 << 19)].map(tokens), ["512", "1K", "12.1K", "1.5M"]);
    }

    #[test]
    fn labels_keep_their_distance() {
        assert_eq!(spread(&[10.0, 12.0, 50.0], 8.0), [10.0, 18.0, 50.0]);
        assert_eq!(spread(&[99.0, 98.0], 8.0), [100.0, 92.0]);
    }
}
