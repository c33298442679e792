use bytemuck::Zeroable;
use streambp::model::Config;
use streambp::step::ChunkOrder;
use streambp::step::ops::DecodeAttention;
use streambp::step::roll_out::Sampling;

use super::attention::{configs, keys, queries, window};
use crate::support::op_harness::{OpHarness, Tolerance};

/// Completions of prompts of these lengths less one, by how many there are, and by their tokens.
const ROLL_OUTS: [(u32, u32, u32); 5] = [(0, 1, 1), (1, 3, 5), (63, 8, 3), (200, 4, 70), (129, 1, 140)];

fn check(config: &Config, (prefix, rows, places): (u32, u32, u32)) {
    let first_token = (prefix + 1).next_multiple_of(rows);
    let mut b = OpHarness::apart(config, ChunkOrder::Apart { first: first_token, tokens: rows * places, len: rows });
    let window = window(config);
    // Tokens that are further back than the window leave their rows to others.
    let ring = |tokens: u32| window.map_or(tokens, |window| tokens.min(window)).max(1);
    let q = b.ring("q", rows * places, queries(config));
    let [prompt_k, prompt_v] = ["prompt.k", "prompt.v"].map(|name| b.ring(name, ring(prefix), keys(config)));
    let [k, v] = ["k", "v"].map(|name| b.ring(name, rows * ring(places), keys(config)));
    let out = b.ring("out", rows * places, queries(config));
    b.values(out).fill(f32::NAN);
    let sampling = b.words("sampling", bytemuck::cast_slice(&[Sampling { prefix, ..Sampling::zeroed() }]).to_vec());
    b.op(DecodeAttention { q, prompt_k, prompt_v, k, v, sampling, out, rows, first_token, window });
    b.check(&[(out, Tolerance::Norm(1e-6))]);
}

#[test]
fn kernel_and_reference_agree() {
    for config in configs() {
        ROLL_OUTS.into_iter().for_each(|roll_out| check(&config, roll_out));
    }
}

/// Heads with more columns than a workgroup has threads, and with fewer.
#[test]
fn heads_of_all_widths() {
    for head_dim in [2, 30, 100, 256] {
        let config = Config { head_dim, ..configs()[0].clone() };
        check(&config, (70, 5, 66));
    }
}
