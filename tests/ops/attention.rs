use streambp::model::{Axis, Config};
use streambp::step::TensorId;
use streambp::step::ops::Attention;

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance, Width};

/// The operands of the attention operations.
pub struct Operands {
    pub q: TensorId,
    pub k: TensorId,
    pub v: TensorId,
    pub segment_start: TensorId,
    pub out: TensorId,
    pub stats: TensorId,
}

/// Heads of several widths, with a key/value head for one, several and all query heads.
pub fn configs() -> Vec<Config> {
    let sizes = [(2, 3, 1), (6, 4, 2), (10, 2, 2), (32, 1, 1), (64, 4, 2)];
    let config = |(head_dim, num_attention_heads, num_key_value_heads)| Config {
        head_dim,
        num_attention_heads,
        num_key_value_heads,
        ..model::odd_config()
    };
    let windows = [1, 7, 64, 100].map(|window| Config { sliding_window: window, sliding_layers: vec![true], ..model::odd_config() });
    let scaled = Config { query_pre_attn_scalar: 1.7, ..model::odd_config() };
    sizes.into_iter().map(config).chain(windows).chain([scaled]).collect()
}

/// The sliding window of these operations: that of the first layer.
pub fn window(config: &Config) -> Option<u32> {
    config.window(0)
}

/// Configurations for finite differences: plain, and with a sliding window and a scale of its own.
pub fn slope_configs() -> [Config; 2] {
    let special = Config { sliding_window: 3, sliding_layers: vec![true], query_pre_attn_scalar: 1.7, ..model::odd_config() };
    [model::odd_config(), special]
}

/// Attention, prepared for its gradient operations.
pub fn harness(shape: &Shape, config: &Config) -> (OpHarness, Operands) {
    let mut b = OpHarness::new(config, shape);
    let segment_start = b.program().bindings.segment_start;
    let (queries, keys) = (queries(config), keys(config));
    let q = b.input("q", queries);
    let [k, v] = ["k", "v"].map(|name| b.seen_input(name, keys, window(config)));
    let out = b.output("out", queries);
    let stats = b.output("stats", Width::Exact(2 * config.num_attention_heads));
    b.op(Attention { q, k, v, segment_start, out, stats, window: window(config) });
    (b, Operands { q, k, v, segment_start, out, stats })
}

pub fn queries(config: &Config) -> Axis {
    Axis::heads(config.num_attention_heads, config.head_dim)
}

pub fn keys(config: &Config) -> Axis {
    Axis::heads(config.num_key_value_heads, config.head_dim)
}

#[test]
fn kernel_and_reference_agree() {
    for config in configs() {
        for shape in op_harness::shapes() {
            let (b, Operands { out, stats, .. }) = harness(&shape, &config);
            b.check(&[(out, Tolerance::Norm(1e-6)), (stats, Tolerance::Norm(1e-6))]);
        }
    }
}

/// Scores of hundreds, whose exponentials overflow f32.
#[test]
fn large_scores_do_not_overflow() {
    let (mut b, Operands { q, out, stats, .. }) = harness(&Shape::whole(&[70, 59]), &model::odd_config());
    b.values(q).iter_mut().for_each(|q| *q *= 200.0);
    // Scores of up to 1500 are rounded by up to 6e-5, which becomes the relative error of their exponentials.
    b.check(&[(out, Tolerance::Norm(6e-5)), (stats, Tolerance::Norm(1e-6))]);
}
