//! Reads a batch from a safetensors file: `input_ids` and `labels`, for packed sequences `position_ids`, for padded ones `attention_mask`, all
//! int64 of shape B×T; for pairs `ref_log_probs`, f32 of the same shape; for sampled completions `advantages`, f32 of shape B, and `old_log_probs`
//! and `ref_log_probs`.

use std::ops::Range;

use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::step::{Batch, IGNORED_LABEL};

/// The label that the losses of Hugging Face ignore.
const HUGGING_FACE_IGNORED: i64 = -100;
/// The tensors of a batch.
const TENSORS: [&str; 4] = ["input_ids", "labels", "position_ids", "attention_mask"];
/// What the reference says of each token, in a batch of pairs or of sampled completions.
const REF_LOG_PROBS: &str = "ref_log_probs";
/// What the model that sampled them says of each token, in a batch of sampled completions.
const OLD_LOG_PROBS: &str = "old_log_probs";
/// The advantage of each sequence, in a batch of sampled completions.
const ADVANTAGES: &str = "advantages";

/// Reads a batch. As in Hugging Face models, label t belongs to token t and is the target of position t − 1. With `position_ids`, each 0
/// starts a sequence; otherwise each row is one. The first label of a sequence is ignored. With `attention_mask`, the rows end where it
/// becomes 0.
///
/// # Errors
/// [`Error::Weights`] with the tensor and its problem.
pub fn read_batch(file: &str, bytes: &[u8], vocab_size: u32) -> Result<Batch> {
    let refuse = |problem: String| Error::weights(file, problem);
    let tensors = tensors(bytes, &TENSORS).map_err(refuse)?;
    read_sequences(&tensors, vocab_size).map(|(batch, _)| batch).map_err(refuse)
}

/// Reads a batch of pairs: sequences `2p` and `2p + 1` are the chosen and the rejected one of pair `p`. Beside it stands the log-probability of
/// every label by the reference, if the file has `ref_log_probs`, whose value t is that of token t.
///
/// # Errors
/// [`Error::Weights`] with the tensor and its problem.
pub fn read_pairs(file: &str, bytes: &[u8], vocab_size: u32) -> Result<(Batch, Option<Vec<f32>>)> {
    let refuse = |problem: String| Error::weights(file, problem);
    let known = [&TENSORS[..], &[REF_LOG_PROBS]].concat();
    let tensors = tensors(bytes, &known).map_err(refuse)?;
    let (batch, ranges) = read_sequences(&tensors, vocab_size).map_err(refuse)?;
    if !ranges.len().is_multiple_of(2) {
        let count = ranges.len();
        return Err(refuse(format!(
            "has {count} sequences; the chosen and the rejected one of each pair follow each other, so their number is even"
        )));
    }
    let reference = read_log_probs(&tensors, REF_LOG_PROBS, &ranges, &batch).map_err(refuse)?;
    Ok((batch, reference))
}

/// A batch of sampled completions, and what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledBatch {
    /// The prompts with their completions. Labels are those of the completions.
    pub batch: Batch,
    /// The advantage of each sequence (B).
    pub advantages: Vec<f32>,
    /// The log-probability of every label by the model that sampled it (N), if the file has it.
    pub old_log_probs: Option<Vec<f32>>,
    /// The log-probability of every label by the reference (N), if the file has it.
    pub ref_log_probs: Option<Vec<f32>>,
}

/// Reads a batch of sampled completions: `advantages` has a number for each sequence, and the value t of `old_log_probs` and `ref_log_probs` is
/// that of token t.
///
/// # Errors
/// [`Error::Weights`] with the tensor and its problem.
pub fn read_samples(file: &str, bytes: &[u8], vocab_size: u32) -> Result<SampledBatch> {
    let refuse = |problem: String| Error::weights(file, problem);
    let known = [&TENSORS[..], &[ADVANTAGES, OLD_LOG_PROBS, REF_LOG_PROBS]].concat();
    let tensors = tensors(bytes, &known).map_err(refuse)?;
    let (batch, ranges) = read_sequences(&tensors, vocab_size).map_err(refuse)?;
    let advantages = read_advantages(&tensors, ranges.len()).map_err(refuse)?;
    let log_probs = |name| read_log_probs(&tensors, name, &ranges, &batch).map_err(refuse);
    let (old_log_probs, ref_log_probs) = (log_probs(OLD_LOG_PROBS)?, log_probs(REF_LOG_PROBS)?);
    Ok(SampledBatch { batch, advantages, old_log_probs, ref_log_probs })
}

/// The advantage of each of so many sequences.
fn read_advantages(tensors: &SafeTensors, sequences: usize) -> Result<Vec<f32>, String> {
    let missing = |_| format!("lacks {ADVANTAGES}; give a float32 for each of its {sequences} sequences");
    let view = tensors.tensor(ADVANTAGES).map_err(missing)?;
    if view.dtype() != Dtype::F32 || view.shape() != [sequences] {
        let (dtype, shape) = (view.dtype(), view.shape());
        return Err(format!("{ADVANTAGES} is {dtype:?} of shape {shape:?}; float32 of the shape [{sequences}] is expected"));
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(format!("{ADVANTAGES} has {} at [{place}]; it must be a number", values[place])),
        None => Ok(values),
    }
}

/// The tensors of a file, if it has no others than these.
fn tensors<'a>(bytes: &'a [u8], known: &[&str]) -> Result<SafeTensors<'a>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| format!("is no complete safetensors file ({e})"))?;
    match tensors.names().into_iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("has the tensor {name}, which is not read; a batch has only {}", known.join(", "))),
        None => Ok(tensors),
    }
}

/// The batch, and where its sequences lie in the tensors.
fn read_sequences(tensors: &SafeTensors, vocab_size: u32) -> Result<(Batch, Vec<Range<usize>>), String> {
    let ids = read(tensors, "input_ids")?;
    let labels = read_like(tensors, "labels", &ids)?;
    let ranges = sequences(tensors, &ids, &labels)?;
    let token = |name: &str, value: i64| match u32::try_from(value) {
        Ok(id) if id < vocab_size => Ok(id),
        _ => Err(format!("{name} has the token {value}, and the model knows 0 to {}", vocab_size - 1)),
    };
    let label = |&value: &i64| if value == HUGGING_FACE_IGNORED { Ok(IGNORED_LABEL) } else { token("labels", value) };
    let sequences = ranges.iter().map(|&Range { start, end }| {
        let ids = ids.values[start..end].iter().map(|&id| token("input_ids", id)).collect::<Result<Vec<u32>, String>>()?;
        let mut shifted = labels.values[start + 1..end].iter().map(label).collect::<Result<Vec<u32>, String>>()?;
        shifted.push(IGNORED_LABEL);
        Ok((ids, shifted))
    });
    let sequences = sequences.collect::<Result<Vec<_>, String>>()?;
    if sequences.iter().all(|(_, labels)| labels.iter().all(|&label| label == IGNORED_LABEL)) {
        return Err("has nothing to learn: every label is -100 or the first of its sequence; give labels to predict".to_owned());
    }
    Ok((Batch::new(sequences), ranges))
}

/// The log-probability of every label (N) in that tensor, if there is one; 0 where the label is ignored.
fn read_log_probs(tensors: &SafeTensors, name: &str, ranges: &[Range<usize>], batch: &Batch) -> Result<Option<Vec<f32>>, String> {
    let Ok(view) = tensors.tensor(name) else { return Ok(None) };
    let shape = tensors.tensor("input_ids").map(|ids| ids.shape().to_vec()).unwrap_or_default();
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!(
            "{name} is {:?} of shape {:?}; float32 of the shape {shape:?} of input_ids is expected",
            view.dtype(),
            view.shape()
        ));
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
    let shifted = ranges.iter().flat_map(|range| (range.start + 1..range.end).map(Some).chain([None]));
    let of_label = |(at, &label): (Option<usize>, &u32)| match at {
        Some(at) if label != IGNORED_LABEL => match values[at] {
            value if value.is_finite() => Ok(value),
            value => {
                Err(format!("{name} has {value} at [{}, {}]; it must be a number where there is a label", at / shape[1], at % shape[1]))
            }
        },
        _ => Ok(0.0),
    };
    shifted.zip(&batch.labels).map(of_label).collect::<Result<Vec<f32>, String>>().map(Some)
}

/// A tensor of whole numbers, row by row.
struct Rows {
    cols: usize,
    values: Vec<i64>,
}

impl Rows {
    fn shape(&self) -> [usize; 2] {
        [self.values.len() / self.cols, self.cols]
    }

    fn iter(&self) -> std::slice::ChunksExact<'_, i64> {
        self.values.chunks_exact(self.cols)
    }
}

/// The sequences, as ranges of tokens: the rows, without padding, cut where positions start again.
fn sequences(tensors: &SafeTensors, ids: &Rows, labels: &Rows) -> Result<Vec<Range<usize>>, String> {
    let optional = |name| tensors.tensor(name).ok().map(|_| read_like(tensors, name, ids)).transpose();
    let lengths = match optional("attention_mask")? {
        Some(mask) => Some(unpadded_lengths(&mask, labels)?),
        None => None,
    };
    let positions = optional("position_ids")?;
    let mut sequences = Vec::new();
    for row in 0..ids.shape()[0] {
        let start = row * ids.cols;
        let end = start + lengths.as_ref().map_or(ids.cols, |lengths| lengths[row]);
        let mut starts = match &positions {
            Some(positions) => sequence_starts(&positions.values[start..end], row)?,
            None => Vec::from_iter((start < end).then_some(0)),
        };
        if starts.len() > 1 && lengths.is_some() {
            return Err(format!(
                "position_ids starts a second sequence in row {row}, which transformers does not see beside an attention_mask; leave out one of the two"
            ));
        }
        starts.push(end - start);
        sequences.extend(starts.windows(2).map(|bounds| start + bounds[0]..start + bounds[1]));
    }
    Ok(sequences)
}

/// The tokens of each row before its padding, which has to be on the right and without labels.
fn unpadded_lengths(mask: &Rows, labels: &Rows) -> Result<Vec<usize>, String> {
    let length = |(row, (mask, labels)): (usize, (&[i64], &[i64]))| {
        let length = mask.iter().position(|&seen| seen == 0).unwrap_or(mask.len());
        let wrong = |&column: &usize| mask[column] != i64::from(column < length);
        if let Some(column) = (0..mask.len()).find(wrong) {
            let value = mask[column];
            return Err(format!("attention_mask has {value} at [{row}, {column}]; it may only have 1, and 0 for padding on the right"));
        }
        match labels[length..].iter().position(|&label| label != HUGGING_FACE_IGNORED) {
            Some(after) => {
                Err(format!("labels has {} at [{row}, {}], which is padding; set it to -100", labels[length + after], length + after))
            }
            None => Ok(length),
        }
    };
    mask.iter().zip(labels.iter()).enumerate().map(length).collect()
}

/// Where the positions of a row start again.
fn sequence_starts(positions: &[i64], row: usize) -> Result<Vec<usize>, String> {
    let mut starts = Vec::new();
    for (column, &position) in positions.iter().enumerate() {
        let follows = column > 0 && positions[column - 1].checked_add(1) == Some(position);
        match position {
            0 => starts.push(column),
            _ if follows => (),
            _ => {
                return Err(format!(
                    "position_ids has {position} at [{row}, {column}]; positions start at 0 in every row and count up by 1, and 0 starts the next sequence"
                ));
            }
        }
    }
    Ok(starts)
}

fn read(tensors: &SafeTensors, name: &str) -> Result<Rows, String> {
    let view = tensors.tensor(name).map_err(|_| format!("has no tensor {name}"))?;
    match *view.shape() {
        [rows, cols] if view.dtype() == Dtype::I64 && rows > 0 && cols > 0 => {
            let values = view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
            Ok(Rows { cols, values })
        }
        ref shape => Err(format!("{name} is {:?} of shape {shape:?}; int64 of shape [B, T] is expected", view.dtype())),
    }
}

/// A tensor that has to have the shape of the token ids.
fn read_like(tensors: &SafeTensors, name: &str, ids: &Rows) -> Result<Rows, String> {
    let rows = read(tensors, name)?;
    match rows.shape() == ids.shape() {
        true => Ok(rows),
        false => Err(format!("input_ids has the shape {:?}, and {name} has {:?}", ids.shape(), rows.shape())),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    /// Three rows of pairs, with what the reference says.
    #[test]
    fn pairs_come_with_their_reference() {
        let ids: Vec<u8> = [1i64, 2, 3, 4, 5, 6].iter().flat_map(|v| v.to_le_bytes()).collect();
        let labels: Vec<u8> = [-100i64, 2, 3, 4, -100, 6].iter().flat_map(|v| v.to_le_bytes()).collect();
        let reference = |values: [f32; 6]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let read = |values: [f32; 6], rows: usize| {
            let (reference, cols) = (reference(values), 6 / rows);
            let view = |dtype, bytes| TensorView::new(dtype, vec![rows, cols], bytes).unwrap();
            let views = [
                ("input_ids", view(Dtype::I64, &ids)),
                ("labels", view(Dtype::I64, &labels)),
                (REF_LOG_PROBS, view(Dtype::F32, &reference)),
            ];
            read_pairs("f", &safetensors::serialize(views, None).unwrap(), 7)
        };
        let (batch, reference) = read([f32::NAN, -1.0, -2.0, -9.0, f32::NAN, -4.0], 2).unwrap();
        assert_eq!(batch.labels, [2, 3, NONE, NONE, 6, NONE]);
        assert_eq!(reference.unwrap(), [-1.0, -2.0, 0.0, 0.0, -4.0, 0.0]);
        let said = read([0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0], 2).unwrap_err().to_string();
        assert!(said.contains("NaN at [0, 1]"), "{said}");
        let said = read([0.0; 6], 1).unwrap_err().to_string();
        assert!(said.contains("has 1 sequences"), "{said}");
        assert!(read_pairs("f", &file(&[IDS, LABELS]), 7).unwrap().1.is_none());
        let said = read_batch(
            "f",
            &safetensors::serialize([("ref_log_probs", TensorView::new(Dtype::I64, vec![2, 3], &ids).unwrap())], None).unwrap(),
            7,
        );
        assert!(said.unwrap_err().to_string().contains("ref_log_probs, which is not read"));
    }

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

    #[test]
    fn padding_on_the_right_is_cut_off() {
        let read = |mask: &[i64], labels: &[i64]| read_batch("f", &file(&[IDS, ("labels", labels), ("attention_mask", mask)]), 7);
        let labels = [1, 2, -100, 4, 5, 6];
        let batch = read(&[1, 1, 0, 1, 1, 1], &labels).unwrap();
        assert_eq!((batch.shape.lengths(), &batch.input_ids), (&[2, 3][..], &vec![1, 2, 4, 5, 6]));
        assert_eq!(batch.labels, [2, NONE, 5, 6, NONE]);
        let whole_row = read(&[0, 0, 0, 1, 1, 1], &[-100, -100, -100, 4, 5, 6]).unwrap();
        assert_eq!(whole_row.shape.lengths(), [3]);
        for (mask, labels, expected) in [
            ([0, 1, 1, 1, 1, 1], labels, "attention_mask has 1 at [0, 1]"),
            ([1, 1, 0, 1, 2, 1], labels, "attention_mask has 2 at [1, 1]"),
            ([1, 0, 0, 1, 1, 1], labels, "labels has 2 at [0, 1], which is padding"),
        ] {
            let said = read(&mask, &labels).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    /// As in transformers, which looks for packed sequences only where there is no mask.
    #[test]
    fn padding_and_packing_exclude_each_other() {
        let read = |positions: &[i64]| {
            let tensors = [IDS, ("labels", &[1, 2, -100, 4, 5, 6]), ("position_ids", positions), ("attention_mask", &[1, 1, 0, 1, 1, 1])];
            read_batch("f", &file(&tensors), 7)
        };
        assert_eq!(read(&[0, 1, 9, 0, 1, 2]).unwrap().shape.lengths(), [2, 3]);
        let said = read(&[0, 1, 9, 0, 1, 0]).unwrap_err().to_string();
        assert!(said.contains("a second sequence in row 1"), "{said}");
    }

    #[test]
    fn what_is_not_read_is_refused() {
        let said = read_batch("f", &file(&[IDS, LABELS, ("loss_mask", &[1; 6])]), 7).unwrap_err().to_string();
        assert!(said.contains("loss_mask"), "{said}");
        let nothing = [IDS, ("labels", &[1, -100, -100, 4, -100, -100])];
        let said = read_batch("f", &file(&nothing), 7).unwrap_err().to_string();
        assert!(said.contains("nothing to learn"), "{said}");
    }
}
