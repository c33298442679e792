//! Encoding and decoding of rows in each dtype.

use half::{bf16, f16};

use super::Dtype;
use crate::error::{Error, Result};

/// Columns of an int8 row that share a scale.
const BLOCK: usize = 32;
/// Bytes of an int8 block: an f32 scale, and a byte for each column.
const BLOCK_BYTES: usize = 4 + BLOCK;

impl Dtype {
    /// Bytes of a row of `cols` elements, padding included.
    pub fn row_bytes(self, cols: u32) -> u64 {
        match self {
            Dtype::F32 => 4 * u64::from(cols),
            Dtype::F16 | Dtype::Bf16 => 2 * u64::from(cols),
            Dtype::Int8 => u64::from(cols).div_ceil(BLOCK as u64) * BLOCK_BYTES as u64,
        }
    }

    /// All dtypes.
    pub const ALL: [Dtype; 4] = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::Int8];

    /// The dtype of that name.
    pub fn named(name: &str) -> Option<Dtype> {
        Dtype::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::Int8 => "int8",
        }
    }

    /// Checks that all values are within the range of the dtype. `name` is the parameter's.
    ///
    /// # Errors
    /// [`Error::Setting`] with a value that is out of range.
    pub fn check(self, name: &str, values: &[f32]) -> Result<()> {
        let most = f16::MAX.to_f32();
        match values.iter().find(|value| self == Dtype::F16 && value.abs() > most) {
            Some(value) => Err(Error::Setting(format!("{name} holds {value}, and f16 ends at {most}; take bf16 instead"))),
            None => Ok(()),
        }
    }

    /// Encodes rows of `cols` elements.
    pub fn encode(self, values: &[f32], cols: u32) -> Vec<u8> {
        match self {
            Dtype::F32 => bytemuck::cast_slice(values).to_vec(),
            Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            Dtype::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            Dtype::Int8 => values.chunks_exact(cols as usize).flat_map(|row| row.chunks(BLOCK).flat_map(encode_block)).collect(),
        }
    }

    /// Decodes rows of `cols` elements.
    pub fn decode(self, bytes: &[u8], cols: u32) -> Vec<f32> {
        let pairs = || bytes.as_chunks::<2>().0.iter();
        match self {
            Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
            Dtype::F16 => pairs().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::Bf16 => pairs().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
            Dtype::Int8 => {
                let row = |bytes: &[u8]| bytes.chunks_exact(BLOCK_BYTES).flat_map(decode_block).take(cols as usize).collect::<Vec<f32>>();
                bytes.chunks_exact(self.row_bytes(cols) as usize).flat_map(row).collect()
            }
        }
    }
}

/// Encodes an int8 block with absmax scaling: the largest magnitude becomes 127.
fn encode_block(values: &[f32]) -> [u8; BLOCK_BYTES] {
    let scale = values.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
    let mut block = [0; BLOCK_BYTES];
    block[..4].copy_from_slice(&scale.to_le_bytes());
    if scale > 0.0 {
        block[4..].iter_mut().zip(values).for_each(|(byte, v)| *byte = (v / scale).round().clamp(-127.0, 127.0) as i8 as u8);
    }
    block
}

fn decode_block(block: &[u8]) -> [f32; BLOCK] {
    let (scale, bytes) = block.split_at(4);
    let scale = f32::from_le_bytes(scale.try_into().expect("four bytes"));
    std::array::from_fn(|i| f32::from(bytes[i] as i8) * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_can_hold_comes_back() {
        let values: Vec<f32> = (0..3 * 36).map(|i| (i as f32 - 50.0) / 4.0).collect();
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let bytes = dtype.encode(&values, 36);
            assert_eq!(bytes.len() as u64, 3 * dtype.row_bytes(36));
            assert_eq!(dtype.decode(&bytes, 36), values, "{dtype:?}");
        }
    }

    #[test]
    fn what_f16_cannot_hold_is_named() {
        let values = [1.0, -70_000.0];
        assert!(Dtype::F16.check("a.weight", &values).unwrap_err().to_string().contains("a.weight holds -70000"));
        assert!(Dtype::F16.check("a.weight", &values[..1]).is_ok());
        assert!(Dtype::Bf16.check("a.weight", &values).is_ok());
    }

    #[test]
    fn bytes_are_off_by_half_a_step_of_their_block_at_most() {
        let values: Vec<f32> = (0..2 * 44).map(|i| ((i * i) as f32).sin() * if i % 44 < 32 { 1.0 } else { 1e-3 }).collect();
        let bytes = Dtype::Int8.encode(&values, 44);
        assert_eq!(bytes.len(), 2 * 2 * BLOCK_BYTES);
        let decoded = Dtype::Int8.decode(&bytes, 44);
        for (row, decoded) in values.chunks(44).zip(decoded.chunks(44)) {
            for (block, decoded) in row.chunks(BLOCK).zip(decoded.chunks(BLOCK)) {
                let most = block.iter().fold(0f32, |m, v| m.max(v.abs()));
                assert!(block.iter().zip(decoded).all(|(a, b)| (a - b).abs() <= most / 127.0 * 0.5001));
            }
        }
        assert_eq!(Dtype::Int8.decode(&Dtype::Int8.encode(&[0.0; 8], 8), 8), [0.0; 8]);
    }
}
