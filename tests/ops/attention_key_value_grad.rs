use streambp::gpu::Tuning;
use streambp::model::Config;
use streambp::step::TensorId;
use streambp::step::ops::{AttentionKeyValueGrad, AttentionQueryGrad};

use super::attention::{self, Operands};
use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

/// The operations, and the tensors `d_out`, `d_q`, `d_k` and `d_v`.
pub fn harness(shape: &Shape, config: &Config) -> (OpHarness, Operands, [TensorId; 4]) {
    let (mut b, operands) = attention::harness(shape, config);
    let Operands { q, k, v, segment_start, out, stats } = operands;
    let d_out = b.input("d_out", attention::queries(config));
    let d_q = b.output("d_q", attention::queries(config));
    let [d_k, d_v] = ["d_k", "d_v"].map(|name| b.seen_input(name, attention::keys(config), attention::window(config)));
    b.op(AttentionQueryGrad { q, k, v, segment_start, out, d_out, stats, d_q, window: attention::window(config) });
    b.op(AttentionKeyValueGrad { q, k, v, segment_start, d_out, stats, d_k, d_v, window: attention::window(config) });
    (b, operands, [d_out, d_q, d_k, d_v])
}

#[test]
fn kernel_and_reference_agree() {
    for config in attention::configs() {
        for shape in op_harness::shapes() {
            let (b, _, [_, _, d_k, d_v]) = harness(&shape, &config);
            b.check(&[(d_k, Tolerance::Norm(2e-6)), (d_v, Tolerance::Norm(2e-6))]);
        }
    }
}

/// The sizes of heads for which GPUs have tiles of other shapes, and many query heads for one of keys and values.
#[test]
fn tiles_of_every_shape_agree() {
    for (head_dim, num_attention_heads, num_key_value_heads) in [(8, 8, 1), (36, 1, 1), (80, 2, 1), (128, 1, 1), (256, 1, 1)] {
        let config = Config { head_dim, num_attention_heads, num_key_value_heads, ..model::odd_config() };
        for shape in op_harness::few_shapes() {
            let (b, Operands { out, stats, .. }, [_, d_q, d_k, d_v]) = harness(&shape, &config);
            let outputs = [(out, 1e-6), (stats, 1e-6), (d_q, 2e-6), (d_k, 2e-6), (d_v, 2e-6)];
            b.check_with(Tuning::GPU, &outputs.map(|(id, norm)| (id, Tolerance::Norm(norm))));
        }
    }
}

#[test]
fn reference_is_the_slope() {
    for config in attention::slope_configs() {
        let (mut b, Operands { k, v, out, .. }, [d_out, _, d_k, d_v]) = harness(&Shape::whole(&[3, 8]), &config);
        [d_k, d_v].into_iter().for_each(|id| b.values(id).fill(0.0));
        let weights = b.values(d_out).to_vec();
        b.gradcheck(out, &weights, &[(k, d_k), (v, d_v)]);
    }
}
