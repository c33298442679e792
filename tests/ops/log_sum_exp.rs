use streambp::model::{Axis, Config};
use streambp::step::ops::{LogSumExp, VocabRange};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Tolerance, Width};

/// Ranges of the vocabulary, one after the other, against the whole vocabulary in f64.
#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::few_shapes() {
        let config = Config { vocab_size: 2500, ..model::odd_config() };
        let mut b = OpHarness::new(&config, &shape);
        let labels = b.program().bindings.labels;
        b.indices(labels, model::batch(&config, &shape.lengths, 3).labels);
        let stats = b.output("stats", Width::Exact(4));
        for (first, count) in [(0, 1024), (1024, 1024), (2048, 452)] {
            let logits = b.input("logits", Axis::flat(count));
            b.op(LogSumExp { logits, labels, stats, range: VocabRange { first, count }, temperature: 1.0 });
        }
        b.check(&[(stats, Tolerance::Norm(5e-7))]);
    }
}
