//! Fingerprints: numbers by which weights and data are recognised.

use super::{Parameter, WeightSource};
use crate::error::Result;

/// Rows of a parameter that count: the first and the middle one. All of them would mean reading a model twice.
const ROWS: u32 = 2;

/// A number that differs where the values of these parameters differ. It takes a few rows of each.
///
/// # Errors
/// Errors of the weight source.
pub async fn fingerprint<'p>(values: &impl WeightSource, parameters: impl Iterator<Item = &'p Parameter>) -> Result<u64> {
    let mut hashes = Vec::new();
    for parameter in parameters {
        let rows = parameter.file_rows();
        for sample in 0..ROWS.min(rows) {
            let row = (u64::from(rows) * u64::from(sample) / u64::from(ROWS)) as u32;
            let row = values.rows(parameter, row..row + 1).await?;
            hashes.push(hash(row.iter().map(|value| u64::from(value.to_bits()))));
        }
    }
    Ok(hash(hashes.into_iter()))
}

/// FNV-1a, which is short and the same on every platform.
pub(crate) fn hash(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0xcbf2_9ce4_8422_2325, |hash, number| (hash ^ number).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PRESETS, Parameters, RandomInit};

    #[test]
    fn fingerprints_tell_weights_apart() {
        let parameters = Parameters::new(&PRESETS[0].config);
        let of_seed = |seed| {
            let all = parameters.iter().map(|(_, parameter)| parameter);
            pollster::block_on(fingerprint(&RandomInit { seed }, all)).unwrap()
        };
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
    }
}
