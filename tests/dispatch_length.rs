//! No dispatch takes too long, at any length and by every strategy: held on launch data, without a device.

use streambp::gpu::{DispatchLimit, Group, Part, Tuning, Whole, dispatch};
use streambp::model::{Config, ModelType, PRESETS, Rope};
use streambp::step::{BatchShape, Chunk, Op, Program, Strategy, TOKEN_TILE};

/// The longest time of a dispatch in seconds.
const LIMIT: f64 = 0.5;
/// The time in seconds for which a dispatch is cut.
const AIM: f64 = 0.1;

/// A device.
struct Device {
    /// Floating-point operations in a second.
    flops: f64,
    /// Bytes in a second.
    bytes: f64,
    /// Its execution units, each of which runs eight threads of a workgroup.
    units: f64,
}

/// A slow one: a quarter of what an Iris Xe (96 execution units of 8 lanes, 1.35 GHz, 68 GB/s) does at its peak.
const IRIS_XE: Device = Device { flops: 0.25 * 2.07e12, bytes: 0.25 * 68e9, units: 96.0 };

impl Device {
    /// The time in seconds of a dispatch whose longest workgroup has twice the work of the average one.
    fn seconds(&self, flops: f64, bytes: f64, workgroups: f64, threads: u32) -> f64 {
        let of_workgroup = self.flops * f64::from(threads.div_ceil(8)) / self.units;
        let longest = (2.0 * flops / workgroups).min(flops);
        (longest / of_workgroup).max(flops / self.flops).max(bytes / self.bytes)
    }

    /// The longest time of the dispatches of an operation, and their number.
    fn longest(&self, program: &Program, op: &Op, chunk: Chunk) -> (f64, usize) {
        let Some(of_op) = dispatch(program, op, &Tuning::GPU, chunk.count) else { return (0.0, 0) };
        let groups = [Group { grid: of_op.grid, ops: vec![0] }];
        let whole = Whole { program, ops: &[op], chunk, groups: &groups };
        let parts = whole.parts(DispatchLimit::of((self.flops * AIM) as u64));
        assert_covers(&parts, chunk);
        let threads = of_op.shader.constants.iter().find(|(name, _)| *name == "WORKGROUP_SIZE").map_or(64, |&(_, threads)| threads);
        let seconds = |part: &Part| {
            let (cost, share) = (program.cost(op, part.chunk), share_of_keys(program, op, part));
            let workgroups: f64 = of_op.grid.workgroups(part).into_iter().map(f64::from).product();
            self.seconds(cost.flops as f64 * share, cost.bytes as f64 * share, workgroups, threads)
        };
        (parts.iter().map(seconds).fold(0.0, f64::max), parts.len())
    }
}

/// The share of the keys that the part's tokens see.
fn share_of_keys(program: &Program, op: &Op, part: &Part) -> f64 {
    let first = program.batch.first_visible(part.chunk.start, op.window());
    let [from, to] = [part.keys.start, part.keys.end].map(|key| key.clamp(first, part.chunk.end()));
    f64::from(to - from) / f64::from(part.chunk.end() - first)
}

/// The parts are all tokens from the last to the first, each with all keys from the first to the last.
fn assert_covers(parts: &[Part], chunk: Chunk) {
    let mut end = chunk.end();
    for of_tokens in parts.chunk_by(|a, b| a.chunk == b.chunk) {
        let part = &of_tokens[0];
        assert_eq!((part.chunk.end(), part.chunk.start), (end, chunk.start + part.tokens_before));
        assert!(part.tokens_before.is_multiple_of(TOKEN_TILE));
        assert!(part.keys.start == 0 && of_tokens.last().is_some_and(|last| last.keys.end == u32::MAX));
        assert!(of_tokens.windows(2).all(|pair| pair[0].keys.end == pair[1].keys.start && !pair[0].keys.is_empty()));
        end = part.chunk.start;
    }
    assert_eq!(end, chunk.start);
}

/// Two layers of Qwen3-0.6B: the others have the same operations.
fn qwen3() -> Config {
    let rope = Rope::plain(1e6);
    let config = Config::llama([1024, 3072, 2, 16, 8, 128]);
    Config { model_type: ModelType::Qwen3, vocab_size: 151_936, tie_word_embeddings: true, rope, local_rope: rope, ..config }
}

#[test]
fn no_dispatch_takes_too_long() {
    let presets = PRESETS.iter().map(|preset| (preset.name, Config { num_hidden_layers: 2, ..preset.config.clone() }));
    let models: Vec<_> = presets.chain([("Qwen3-0.6B", qwen3())]).collect();
    let strategies = [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::default(), Strategy::stream(2048, 2048)];
    let mut most_parts = 0;
    for (name, config) in &models {
        for tokens in [1 << 10, 1 << 14, 1 << 16, 1 << 20] {
            for strategy in strategies {
                let program = Program::train(config, BatchShape::uniform(1, tokens), strategy);
                for block in &program.blocks {
                    // The last chunk sees the most keys.
                    let last = block.chunk_order.chunks(tokens).max_by_key(|chunk| chunk.index).expect("there are tokens");
                    for node in &block.nodes {
                        let (seconds, parts) = IRIS_XE.longest(&program, &node.op, last);
                        assert!(seconds <= LIMIT, "{name}, {tokens} tokens, {strategy:?}: {:?} takes {seconds} s", node.op.kind());
                        most_parts = most_parts.max(parts);
                    }
                }
            }
        }
    }
    assert!(most_parts > 1000, "the longest operations were not cut: {most_parts}");
}
