//! Every byte of the device's buffers at one moment of the step, by the tensor that lies there.

use super::part::Part;
use super::planned::{Planned, moment};
use crate::step::{Rows, Storage, TensorId};

/// Something that takes bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The tensor; `None` for the bytes in which nothing lies at this moment.
    pub tensor: Option<TensorId>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub part: Part,
    /// Its layer, if it has one.
    pub layer: Option<u32>,
    /// The chunk that it is of, if its rows are those of a chunk.
    pub chunk: Option<u32>,
    /// Rows and columns, padding included.
    pub shape: [u32; 2],
    /// Bytes, alignment included.
    pub bytes: u64,
    /// Can its numbers be looked at? Those in a buffer by which the host reads others cannot.
    pub is_readable: bool,
}

/// Everything that is alive at a turn, the largest first; last, what is free in the buffers. Together they are the bytes of
/// all buffers.
pub fn entries(planned: &Planned, number: u64) -> Vec<Entry> {
    let turn = planned.program().instance(number);
    let alive = planned.plan.alive(moment(turn));
    let free = planned.peak_bytes() - alive.iter().map(|alive| alive.bytes).sum::<u64>();
    let mut entries: Vec<Entry> = alive
        .into_iter()
        .map(|alive| {
            let tensor = planned.program().tensor(alive.tensor);
            Entry {
                tensor: Some(alive.tensor),
                name: tensor.name.clone(),
                part: Part::of(tensor.kind),
                layer: tensor.layer,
                chunk: matches!(tensor.rows, Rows::Chunk).then_some(turn.chunk.index),
                shape: [tensor.row_count, tensor.cols],
                bytes: alive.bytes,
                is_readable: tensor.storage != Storage::ReadBack,
            }
        })
        .collect();
    if free > 0 {
        let shape = [0, 0];
        entries.push(Entry {
            tensor: None,
            name: String::new(),
            part: Part::Tables,
            layer: None,
            chunk: None,
            shape,
            bytes: free,
            is_readable: false,
        });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::planned::tests::each;
    use super::*;

    #[test]
    fn the_list_adds_up_to_the_buffers_at_every_turn() {
        for planned in each(300) {
            for number in 0..planned.program().instance_count() {
                let entries = entries(&planned, number);
                assert_eq!(entries.iter().map(|entry| entry.bytes).sum::<u64>(), planned.peak_bytes());
            }
            let at_peak = entries(&planned, planned.peak_turn());
            let free: u64 = at_peak.iter().filter(|entry| entry.tensor.is_none()).map(|entry| entry.bytes).sum();
            assert_eq!(free, planned.plan.unused_bytes());
        }
    }
}
