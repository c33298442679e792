//! Reads a batch from a safetensors file: `input_ids`, `labels` and, for packed sequences, `position_ids`, all int64 of shape B×T.

use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::step::{Batch, IGNORED_LABEL};

/// The label that the losses of Hugging Face ignore.
const HUGGING_FACE_IGNORED: i64 = -100;

/// Reads a batch. As in Hugging Face models, label t belongs to token t and is the target of position t − 1. With `position_ids`, each 0
/// starts a sequence; otherwise each row is one. The first label of a sequence is ignored.
///
/// # Errors
/// [`Error::Weights`] with the tensor and its problem.
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
    let starts = match tensors.tensor("position_ids") {
        Ok(_) => sequence_starts(&tensors, file, &shape)?,
        Err(_) => (0..ids.len()).step_by(shape[1]).collect(),
    };
    let ends = starts[1..].iter().copied().chain([ids.len()]);
    let sequences = starts.iter().zip(ends).map(|(&start, end)| {
        let ids = ids[start..end].iter().map(|&id| token("input_ids", id)).collect::<Result<Vec<u32>>>()?;
        let mut shifted = labels[start + 1..end].iter().map(label).collect::<Result<Vec<u32>>>()?;
        shifted.push(IGNORED_LABEL);
        Ok((ids, shifted))
    });
    Ok(Batch::new(sequences.collect::<Result<_>>()?))
}

/// The starts of the sequences, by `position_ids`.
fn sequence_starts(tensors: &SafeTensors, file: &str, shape: &[usize]) -> Result<Vec<usize>> {
    let (position_shape, positions) = read(tensors, file, "position_ids")?;
    if position_shape != shape {
        return Err(Error::weights(file, format!("input_ids has the shape {shape:?}, and position_ids has {position_shape:?}")));
    }
    let mut starts = Vec::new();
    for (at, &position) in positions.iter().enumerate() {
        let (row, column) = (at / shape[1], at % shape[1]);
        let follows = column > 0 && positions[at - 1].checked_add(1) == Some(position);
        match position {
            0 => starts.push(at),
            _ if follows => (),
            _ => {
                return Err(Error::weights(
                    file,
                    format!(
                        "position_ids has {position} at [{row}, {column}]; positions start at 0 in every row and count up by 1, and 0 starts the next sequence"
                    ),
                ));
            }
        }
    }
    Ok(starts)
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

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    /// A file of tensors with three columns.
    fn file(tensors: &[(&str, &[i64])]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, values), bytes)| {
            (*name, TensorView::new(Dtype::I64, vec![values.len() / 3, 3], bytes).expect("the bytes are those of the shape"))
        });
        safetensors::serialize(views, None).expect("tensors can be written")
    }

    const IDS: (&str, &[i64]) = ("input_ids", &[1, 2, 3, 4, 5, 6]);
    const LABELS: (&str, &[i64]) = ("labels", &[1, 2, 3, 4, -100, 6]);
    const NONE: u32 = IGNORED_LABEL;

    #[test]
    fn a_row_is_a_sequence_where_nothing_else_is_said() {
        let batch = read_batch("f", &file(&[IDS, LABELS]), 7).unwrap();
        assert_eq!((batch.shape.lengths(), batch.labels), (&[3, 3][..], vec![2, 3, NONE, NONE, 6, NONE]));
    }

    #[test]
    fn positions_that_start_again_are_a_new_sequence() {
        let read = |positions: &[i64]| read_batch("f", &file(&[IDS, LABELS, ("position_ids", positions)]), 7);
        let batch = read(&[0, 0, 1, 0, 1, 2]).unwrap();
        assert_eq!((batch.shape.lengths(), batch.labels), (&[1, 2, 3][..], vec![NONE, 3, NONE, NONE, 6, NONE]));
        for (wrong, place) in
            [([0, 1, 3, 0, 1, 2], "3 at [0, 2]"), ([0, 1, 2, 3, 4, 5], "3 at [1, 0]"), ([1, 2, 3, 0, 1, 2], "1 at [0, 0]")]
        {
            let said = read(&wrong).unwrap_err().to_string();
            assert!(said.contains(place), "{said}");
        }
        let said = read(&[0, 1, 2]).unwrap_err().to_string();
        assert!(said.contains("position_ids has [1, 3]"), "{said}");
    }
}
