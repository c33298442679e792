use streambp::model::{Axis, Config, Dtype, ModelType};
use streambp::step::ops::Embedding;

use crate::support::op_harness::{self, OpHarness, Tolerance};
use crate::support::{Random, model};

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for (vocab_size, hidden_size) in [(3, 1), (37, 5), (257, 18), (3, 130)] {
            let mut random = Random::new(3);
            let mut b = OpHarness::new(&model::odd_config(), &shape);
            let input_ids = b.program().bindings.input_ids;
            let ids = (0..b.tokens()).map(|_| random.below(vocab_size)).collect();
            b.indices(input_ids, ids);
            let weight = b.matrix("weight", Axis::flat(vocab_size), Axis::flat(hidden_size));
            let out = b.output("out", Axis::flat(hidden_size));
            b.op(Embedding { input_ids, weight, out, first_id: 0 });
            b.check(&[(out, Tolerance::Exact)]);
        }
    }
}

/// The vocabulary in two slices of two bytes per element, scaled as in Gemma.
#[test]
fn parts_of_the_vocabulary() {
    for shape in op_harness::few_shapes() {
        let mut random = Random::new(3);
        let mut b = OpHarness::new(&Config { model_type: ModelType::Gemma3Text, ..model::odd_config() }, &shape);
        let input_ids = b.program().bindings.input_ids;
        let ids = (0..b.tokens()).map(|_| random.below(30)).collect();
        b.indices(input_ids, ids);
        let out = b.output("out", Axis::flat(10));
        for (first_id, rows) in [(0, 12), (12, 18)] {
            let weight = b.stored("weight", Axis::flat(rows), Axis::flat(10), Dtype::Bf16);
            b.op(Embedding { input_ids, weight, out, first_id });
        }
        b.check(&[(out, Tolerance::Norm(2e-7))]);
    }
}
