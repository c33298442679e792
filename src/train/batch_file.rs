//! A batch from a safetensors file: `input_ids` and `labels`, int64, B×T.

use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::step::{Batch, IGNORED_LABEL};

/// The label that Hugging Face's losses leave out.
const HUGGING_FACE_IGNORED: i64 = -100;

/// Reads a batch. As in Hugging Face's models, label t is the token at t: it is what position t - 1 is to predict.
///
/// # Errors
/// [`Error::Weights`] names the tensor and what is wrong with it.
pub fn read_batch(file: &str, bytes: &[u8], vocab_size: u32) -> Result<Batch> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| Error::weights(file, format!("is no complete safetensors file ({e})")))?;
    let (shape, ids) = read(&tensors, file, "input_ids")?;
    let (label_shape, labels) = read(&tensors, file, "labels")?;
    if shape != label_shape {
        return Err(Error::weights(file, format!("input_ids has the shape {shape:?}, and labels has {label_shape:?}")));
    }
    let token = |name: &str, value: i64| match u32::try_from(value) {
        Ok(id) if id < vocab_size => Ok(id),
        _ => Err(Error::weights(file, format!("{name} has the token {value}, and the model knows 0 to {}", vocab_size - 1))),
    };
    let label = |&value: &i64| if value == HUGGING_FACE_IGNORED { Ok(IGNORED_LABEL) } else { token("labels", value) };
    let rows = ids.chunks(shape[1]).zip(labels.chunks(shape[1]));
    let sequences = rows.map(|(ids, labels)| {
        let ids = ids.iter().map(|&id| token("input_ids", id)).collect::<Result<Vec<u32>>>()?;
        let mut shifted = labels[1..].iter().map(label).collect::<Result<Vec<u32>>>()?;
        shifted.push(IGNORED_LABEL);
        Ok((ids, shifted))
    });
    Ok(Batch::new(sequences.collect::<Result<_>>()?))
}

fn read(tensors: &SafeTensors, file: &str, name: &str) -> Result<(Vec<usize>, Vec<i64>)> {
    let view = tensors.tensor(name).map_err(|_| Error::weights(file, format!("has no tensor {name}")))?;
    let shape = view.shape().to_vec();
    if view.dtype() != Dtype::I64 || shape.len() != 2 || shape.contains(&0) {
        return Err(Error::weights(file, format!("{name} is {:?} of shape {shape:?}; int64 of shape [B, T] is expected", view.dtype())));
    }
    let values = view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
    Ok((shape, values))
}
