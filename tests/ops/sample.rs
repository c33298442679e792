use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use streambp::gpu;
use streambp::model::Config;
use streambp::reference;
use streambp::step::ops::Sample;
use streambp::step::roll_out::Sampling;
use streambp::step::{BatchShape, Builder, ChunkOrder, Element, Pass, Program, Rows, Storage, Strategy, TensorId, TensorKind};

use crate::support::{Random, device, level, model};

const FIRST_TOKEN: u32 = 64;
const FIRST_COMPLETION: u32 = 5;

/// A program that samples `places` tokens of `rows` completions from logits that are given.
struct Draws {
    program: Program,
    rows: u32,
    places: u32,
    sampling: TensorId,
    logits: TensorId,
    input_ids: TensorId,
    log_probs: TensorId,
}

impl Draws {
    fn new(config: &Config, rows: u32, places: u32) -> Self {
        let mut b = Builder::new(config, BatchShape::uniform(1, 1), Strategy::STANDARD);
        let mut own = |name: &str, rows, cols, element| {
            let id = b.tensor(name, TensorKind::Scratch, rows, cols);
            let tensor = &mut b.program.tensors[id.0 as usize];
            (tensor.storage, tensor.element) = (Storage::Own, element);
            id
        };
        let tokens = rows * places;
        let logits = own("logits", Rows::Ring(tokens), config.vocab_size.next_multiple_of(4), Element::F32);
        let sampling = own("sampling", Rows::Fixed(1), 16, Element::U32);
        let input_ids = own("input_ids", Rows::Ring(FIRST_TOKEN + tokens + rows), 1, Element::U32);
        let log_probs = own("log_probs", Rows::Ring(tokens), 1, Element::F32);
        let order = ChunkOrder::Apart { first: FIRST_TOKEN, tokens, len: rows };
        b.block(Pass::RollOut, "sample", order, |b| {
            b.push(Sample { logits, sampling, input_ids, log_probs, rows, first_token: FIRST_TOKEN });
        });
        Draws { program: b.finish(), rows, places, sampling, logits, input_ids, log_probs }
    }

    fn chunks(&self) -> impl Iterator<Item = streambp::step::Chunk> {
        self.program.blocks[0].chunk_order.chunks(0)
    }

    /// The tokens on the device, in the order of places, and their log-probabilities.
    fn on_device(&self, tuning: gpu::Tuning, sampling: &Sampling, logits: &[f32]) -> (Vec<u32>, Vec<f32>) {
        let mut executor = device::executor(&self.program, tuning);
        executor.write(self.sampling, bytemuck::bytes_of(sampling));
        executor.write(self.logits, bytemuck::cast_slice(logits));
        self.chunks().for_each(|chunk| executor.run_chunk(0, chunk).unwrap());
        let ids: Vec<u32> = bytemuck::pod_collect_to_vec(&pollster::block_on(executor.read(self.input_ids)).unwrap());
        (ids[(FIRST_TOKEN + self.rows) as usize..].to_vec(), device::read(&executor, self.log_probs))
    }

    /// The same by the reference.
    fn by_reference(&self, sampling: &Sampling, logits: &[f32]) -> (Vec<u32>, Vec<f64>) {
        let mut executor = reference::Executor::new(&self.program);
        executor.write(self.sampling, bytemuck::bytes_of(sampling));
        executor.write(self.logits, bytemuck::cast_slice(logits));
        self.chunks().for_each(|chunk| executor.run_chunk(0, chunk));
        let ids = executor.read(self.input_ids)[(FIRST_TOKEN + self.rows) as usize..].iter().map(|&id| id as u32).collect();
        (ids, executor.read(self.log_probs).to_vec())
    }

    /// The logits of a token of the vocabulary's rows, token after token.
    fn logits(&self, spread: f32, seed: u64) -> Vec<f32> {
        let (vocab, cols) = (self.program.config().vocab_size as usize, self.program.tensor(self.logits).cols as usize);
        let mut random = Random::new(seed);
        // What is behind the vocabulary would win.
        (0..cols * (self.rows * self.places) as usize).map(|i| if i % cols < vocab { spread * random.real() } else { 1e9 }).collect()
    }

    /// Is each draw clear: are neither two candidates, nor what top-k and top-p tell apart, within 10⁻⁵ of each other? In the order of the
    /// places.
    fn are_clear(&self, sampling: &Sampling, logits: &[f32]) -> Vec<bool> {
        let cols = self.program.tensor(self.logits).cols as usize;
        let cap = self.program.config().final_logit_softcapping;
        let capped = |logit: f32| cap.map_or(f64::from(logit), |cap| cap * (f64::from(logit) / cap).tanh());
        let first = FIRST_TOKEN % (self.rows * self.places);
        let of_draw = |draw: u32| {
            let row = ((first + draw) % (self.rows * self.places)) as usize;
            let all = &logits[row * cols..][..self.program.config().vocab_size as usize];
            is_clear(sampling, all.iter().map(|&logit| capped(logit)).collect(), draw / self.rows, FIRST_COMPLETION + draw % self.rows)
        };
        (0..self.rows * self.places).map(of_draw).collect()
    }
}

/// The random number of each token of the vocabulary, which is part of what is promised: words of ChaCha8, by place and completion.
fn words(sampling: &Sampling, place: u32, completion: u32) -> impl Iterator<Item = f64> {
    let mut random = ChaCha8Rng::from_seed(bytemuck::cast(sampling.key));
    random.set_stream(u64::from(completion) << 32 | u64::from(place));
    std::iter::from_fn(move || Some((f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0))
}

fn is_clear(sampling: &Sampling, logits: Vec<f64>, place: u32, completion: u32) -> bool {
    const CLEAR: f64 = 1e-5;
    let temperature = if sampling.temperature == 0.0 { 1.0 } else { f64::from(sampling.temperature) };
    let noise: Vec<f64> = words(sampling, place, completion).map(|w| (-(1.0 - w).ln()).ln()).take(logits.len()).collect();
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    ids.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let scaled = |id: usize| logits[id] / temperature;
    if sampling.temperature == 0.0 {
        return ids.len() < 2 || scaled(ids[0]) - scaled(ids[1]) > CLEAR;
    }
    let kept = (sampling.top_k as usize).min(ids.len());
    if kept < ids.len() && scaled(ids[kept - 1]) - scaled(ids[kept]) < CLEAR {
        return false;
    }
    ids.truncate(kept);
    let total: f64 = ids.iter().map(|&id| (scaled(id) - scaled(ids[0])).exp()).sum();
    let mut before = 0.0;
    let mut left = Vec::new();
    for &id in &ids {
        if sampling.top_p < 1.0 && (before - f64::from(sampling.top_p)).abs() < CLEAR {
            return false;
        }
        if sampling.top_p == 1.0 || before < f64::from(sampling.top_p) {
            left.push(scaled(id) - noise[id]);
        }
        before += (scaled(id) - scaled(ids[0])).exp() / total;
    }
    left.sort_by(|a, b| b.total_cmp(a));
    left.len() < 2 || left[0] - left[1] > CLEAR
}

fn sampling(temperature: f32, top_k: u32, top_p: f32) -> Sampling {
    let key = [3, 1, 4, 1, 5, 9, 2, 6];
    Sampling { key, temperature, top_p, top_k, first_completion: FIRST_COMPLETION, prefix: 0, padding: [0; 3] }
}

#[test]
fn a_thousand_draws_are_those_of_the_reference() {
    let ways = [(1.0, u32::MAX, 1.0), (0.7, 40, 1.0), (1.3, u32::MAX, 0.9), (0.8, 50, 0.95), (0.0, u32::MAX, 1.0)];
    let capped = |vocab_size, cap| Config { vocab_size, final_logit_softcapping: cap, ..model::odd_config() };
    for config in [capped(19, None), capped(5003, None), capped(1000, Some(20.0))] {
        let draws = Draws::new(&config, 8, 25);
        for (seed, (temperature, top_k, top_p)) in (0..).zip(ways) {
            let (sampling, logits) = (sampling(temperature, top_k, top_p), draws.logits(4.0, seed));
            let (wanted, log_probs) = draws.by_reference(&sampling, &logits);
            let are_clear = draws.are_clear(&sampling, &logits);
            let clear = are_clear.iter().filter(|&&is_clear| is_clear).count();
            assert!(clear > 180, "{clear} {sampling:?}");
            for tuning in level::share(device::tunings(), 2, seed as usize) {
                let (found, found_log_probs) = draws.on_device(tuning, &sampling, &logits);
                for (draw, is_clear) in are_clear.iter().enumerate() {
                    assert!(!is_clear || found[draw] == wanted[draw], "draw {draw} of {sampling:?}: {} {}", found[draw], wanted[draw]);
                    let row = draw;
                    let is_near = (f64::from(found_log_probs[row]) - log_probs[row]).abs() < 1e-5;
                    assert!(!is_clear || is_near, "{} {}", found_log_probs[row], log_probs[row]);
                }
            }
        }
    }
}

/// Each token comes as often as its probability says.
#[test]
fn shares_follow_the_probabilities() {
    let config = Config { vocab_size: 5, ..model::odd_config() };
    let draws = Draws::new(&config, 64, 100);
    let shares = [0.05f32, 0.4, 0.3, 0.15, 0.1];
    let logits: Vec<f32> = (0..6400).flat_map(|_| shares.map(f32::ln).into_iter().chain([0.0; 3])).collect();
    let count = |sampling: &Sampling| {
        let (ids, _) = draws.on_device(device::own_tuning(), sampling, &logits);
        [0, 1, 2, 3, 4].map(|id| ids.iter().filter(|&&found| found == id).count() as f64 / 6400.0)
    };
    let expect = |sampling: Sampling, shares: [f64; 5]| {
        for (found, wanted) in count(&sampling).into_iter().zip(shares) {
            assert!((found - wanted).abs() < 5.0 * (wanted * (1.0 - wanted) / 6400.0).sqrt() + 1e-9, "{found} {wanted} {sampling:?}");
        }
    };
    expect(sampling(1.0, u32::MAX, 1.0), [0.05, 0.4, 0.3, 0.15, 0.1]);
    expect(sampling(1.0, 2, 1.0), [0.0, 4.0 / 7.0, 3.0 / 7.0, 0.0, 0.0]);
    // The first two have 0.7 together, so the third is needed.
    expect(sampling(1.0, u32::MAX, 0.75), [0.0, 0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0.0]);
    expect(sampling(0.0, u32::MAX, 1.0), [0.0, 1.0, 0.0, 0.0, 0.0]);
}
