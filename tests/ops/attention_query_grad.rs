use streambp::model::Config;
use streambp::step::TensorId;
use streambp::step::ops::AttentionQueryGrad;

use super::attention::{self, Operands};
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

/// The operations, and the tensors `d_out` and `d_q`.
fn harness(shape: &Shape, config: &Config) -> (OpHarness, Operands, [TensorId; 2]) {
    let (mut b, operands) = attention::harness(shape, config);
    let Operands { q, k, v, segment_start, out, stats } = operands;
    let d_out = b.input("d_out", attention::queries(config));
    let d_q = b.output("d_q", attention::queries(config));
    b.op(AttentionQueryGrad { q, k, v, segment_start, out, d_out, stats, d_q, window: attention::window(config) });
    (b, operands, [d_out, d_q])
}

#[test]
fn kernel_and_reference_agree() {
    for config in attention::configs() {
        for shape in op_harness::shapes() {
            let (b, Operands { stats, .. }, [_, d_q]) = harness(&shape, &config);
            b.check(&[(d_q, Tolerance::Norm(2e-6)), (stats, Tolerance::Norm(1e-6))]);
        }
    }
}

#[test]
fn reference_is_the_slope() {
    for config in attention::slope_configs() {
        let (mut b, Operands { q, out, .. }, [d_out, d_q]) = harness(&Shape::whole(&[3, 8]), &config);
        let weights = b.values(d_out).to_vec();
        b.gradcheck(out, &weights, &[(q, d_q)]);
    }
}
