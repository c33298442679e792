//! The file of a saved run. In front stands what a list of runs shows, so that nothing else has to be read for that.

use serde::{Deserialize, Serialize};

use super::protocol::{About, History};
use crate::gpu::Tuning;
use crate::train::Snapshot;

/// Bytes before the header: its length and its checksum.
pub const PREFIX_BYTES: usize = 12;

/// Counts the layouts that the file has had. It goes into the header's checksum: in the file of an older page the same bytes could mean
/// something else.
const LAYOUT: u32 = 6;

/// What the file says before the state itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The number of the save, from 1: the file with the larger one is newer.
    pub number: u64,
    /// What a list shows.
    pub about: About,
    /// The kernels of the run: others would give other bits.
    pub tuning: Tuning,
    history_bytes: u64,
    checksum: u32,
}

/// The parts of a file, in order.
pub type Parts = [Vec<u8>; 3];

/// Encodes a run's state.
pub fn encode(number: u64, about: About, tuning: Tuning, history: &History, snapshot: &Snapshot) -> Parts {
    let history = postcard::to_allocvec(history).expect("a history is plain data");
    let snapshot = snapshot.to_bytes();
    let header = Header { number, about, tuning, history_bytes: history.len() as u64, checksum: checksum(&[&history, &snapshot]) };
    let header = postcard::to_allocvec(&header).expect("a run is plain data");
    let front = [&(header.len() as u64).to_le_bytes()[..], &header_checksum(&header).to_le_bytes(), &header].concat();
    [front, history, snapshot]
}

/// Where the header ends, by the first [`PREFIX_BYTES`] of the file.
pub fn header_end(prefix: &[u8]) -> Option<u64> {
    (PREFIX_BYTES as u64).checked_add(u64::from_le_bytes(*prefix.first_chunk()?))
}

/// Reads the header. `None` if it is damaged, or of another version of the page.
pub fn header(front: &[u8]) -> Option<Header> {
    let (prefix, rest) = front.split_at_checked(PREFIX_BYTES)?;
    let length = usize::try_from(u64::from_le_bytes(*prefix.first_chunk()?)).ok()?;
    let header = rest.get(..length)?;
    (prefix[8..] == header_checksum(header).to_le_bytes()).then(|| postcard::from_bytes(header).ok())?
}

/// Reads a whole file. `None` if anything of it is damaged.
pub fn decode(bytes: &[u8]) -> Option<(Header, History, Snapshot)> {
    let header = header(bytes)?;
    let state = &bytes[header_end(bytes)? as usize..];
    if header.checksum != checksum(&[state]) {
        return None;
    }
    let (history, snapshot) = state.split_at_checked(header.history_bytes as usize)?;
    Some((header, postcard::from_bytes(history).ok()?, Snapshot::from_bytes("that was saved", snapshot).ok()?))
}

fn header_checksum(header: &[u8]) -> u32 {
    checksum(&[&LAYOUT.to_le_bytes(), header])
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelSpec, PRESETS, Parameters, Weights};
    use crate::train::{AccuracyAtDistance, DpoMetrics, LossAtPositions, RunId, SampleMetrics, StepReport, Validation};
    use crate::web::form::{Adapter, Form, ObjectiveChoice};
    use crate::web::protocol::Start;

    fn saved() -> (About, History, Snapshot) {
        let run = Form::default().run(None, Start::Seed, &Adapter::default()).unwrap();
        let spec = ModelSpec::from(&PRESETS[0].config);
        let parameters = Parameters::new(&spec);
        let weights = || {
            let trained = || parameters.trainable().map(|(_, parameter)| parameter);
            Weights::of(trained(), trained().map(|parameter| vec![0.5; parameter.elements()]))
        };
        let id = RunId { settings: run.settings.clone(), data: 7, spec: spec.clone(), frozen: None };
        let snapshot = Snapshot { run: id, step: 3, weights: weights(), moments: [weights(), weights()], round: None };
        (About { run, step: 3, saved_at: 1.5e12 }, History::default(), snapshot)
    }

    #[test]
    fn a_state_comes_back_and_its_front_says_what_it_is() {
        let (about, history, snapshot) = saved();
        let parts = encode(5, about.clone(), Tuning::CPU, &history, &snapshot);
        assert_eq!(header_end(&parts[0]), Some(parts[0].len() as u64));
        let front = header(&parts[0]).unwrap();
        assert_eq!((front.number, &front.about, front.tuning), (5, &about, Tuning::CPU));
        assert_eq!(decode(&parts.concat()), Some((front, history, snapshot)));
    }

    #[test]
    fn a_file_of_another_layout_is_not_read() {
        let (mut about, mut history, snapshot) = saved();
        let mut form = Form::default();
        form.has_adapters = true;
        form.set_objective(ObjectiveChoice::Dpo);
        about.run = form.run(None, Start::Seed, &Adapter::default()).unwrap();
        let (step, peak_bytes) = (1, 9);
        let [loss, grad_norm, learning_rate, seconds, tokens_per_second] = [2.0, 1.0, 1e-3, 0.5, 128.0];
        history.steps.push(StepReport {
            step,
            loss,
            grad_norm,
            learning_rate,
            tokens: 64,
            seconds,
            tokens_per_second,
            peak_bytes,
            flops_left_out: 0.25,
        });
        history.pairs.push((1, DpoMetrics { margin: 0.25, accuracy: 1.0, ..DpoMetrics::default() }));
        let by_position = vec![LossAtPositions { from: 1, to: 1, loss, perplexity: 7.0, labels: 4 }];
        let accuracy_by_distance = vec![AccuracyAtDistance { from: 64, to: 127, answers: 8, right: 4 }];
        history.validations.push((step, Validation { loss, accuracy: Some(0.5), accuracy_by_distance, by_position }));
        history.samples.push((1, SampleMetrics::default()));
        let parts = encode(1, about, Tuning::CPU, &history, &snapshot);
        // The order of the fields in the snapshot's own header is drawn anew in every process.
        let front = Header { checksum: 0, ..header(&parts[0]).unwrap() };
        let found = checksum(&[&postcard::to_allocvec(&front).unwrap(), &parts[1]]);
        assert_eq!(found, 1_291_581_743, "if the types in the file have changed, raise LAYOUT; then put the checksum here");
        let mut of_another = parts[0].clone();
        let header = of_another[PREFIX_BYTES..].to_vec();
        of_another[8..PREFIX_BYTES].copy_from_slice(&checksum(&[&(LAYOUT + 1).to_le_bytes(), &header]).to_le_bytes());
        assert_eq!(super::header(&of_another), None);
    }

    #[test]
    fn damage_is_seen_wherever_it_is() {
        let (about, history, snapshot) = saved();
        let parts = encode(1, about, Tuning::CPU, &history, &snapshot);
        let (front, mut bytes) = (parts[0].len(), parts.concat());
        for at in (0..front).chain([front, bytes.len() / 2, bytes.len() - 1]) {
            bytes[at] ^= 1;
            assert_eq!(decode(&bytes), None, "byte {at}");
            bytes[at] ^= 1;
        }
        for length in [0, PREFIX_BYTES, front - 1, front, bytes.len() - 1] {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(header(&bytes[..front - 1]), None);
        assert_eq!(header(&[255; 64]), None);
    }
}
