use streambp::model::{Axis, Config};
use streambp::step::ops::{Embedding, EmbeddingGrad};
use streambp::step::{Batch, TensorId};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

pub struct Operands {
    weight: TensorId,
    out: TensorId,
    d_out: TensorId,
    pub d_weight: TensorId,
}

/// A lookup and its gradient in a single chunk: the gradient takes the whole batch at once.
pub fn harness(lengths: &[u32], vocab_size: u32, hidden_size: u32) -> (OpHarness, Operands) {
    let config = Config { vocab_size, hidden_size, ..model::odd_config() };
    let batch: Batch = model::batch(&config, lengths, 3);
    let (order, start) = batch.tokens_by_id(vocab_size, None);
    let mut b = OpHarness::new(&config, &Shape::whole(lengths));
    let bindings = b.program().bindings.clone();
    b.indices(bindings.input_ids, batch.input_ids);
    b.indices(bindings.token_order, order);
    b.indices(bindings.token_start, start);
    let weight = b.matrix("weight", Axis::flat(vocab_size), Axis::flat(hidden_size));
    let out = b.output("out", Axis::flat(hidden_size));
    let d_out = b.input("d_out", Axis::flat(hidden_size));
    let d_weight = b.matrix("d_weight", Axis::flat(vocab_size), Axis::flat(hidden_size));
    b.op(Embedding { input_ids: bindings.input_ids, weight, out, first_id: 0 });
    b.op(EmbeddingGrad { d_out, token_order: bindings.token_order, token_start: bindings.token_start, d_weight, first_id: 0 });
    (b, Operands { weight, out, d_out, d_weight })
}

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::few_shapes() {
        for (vocab_size, hidden_size) in [(1, 1), (3, 130), (37, 5), (257, 18)] {
            let (b, Operands { d_weight, .. }) = harness(&shape.lengths, vocab_size, hidden_size);
            let terms = b.tokens() + 1;
            b.check(&[(d_weight, Tolerance::Terms(terms))]);
        }
    }
}

#[test]
fn reference_is_the_slope() {
    let (mut b, Operands { weight, out, d_out, d_weight }) = harness(&[4, 7], 5, 3);
    b.values(d_weight).fill(0.0);
    let weights = b.values(d_out).to_vec();
    b.gradcheck(out, &weights, &[(weight, d_weight)]);
}
