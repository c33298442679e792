use streambp::model::Axis;
use streambp::step::Op;

use crate::support::bench::{self, Bench, Tolerance};
use crate::support::{Random, model};

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::shapes() {
        for (vocab_size, hidden_size) in [(3, 1), (37, 5), (257, 18), (3, 130)] {
            let mut random = Random::new(3);
            let mut b = Bench::new(&model::odd_config(), &shape);
            let input_ids = b.program().bindings.input_ids;
            let ids = (0..b.tokens()).map(|_| random.below(vocab_size)).collect();
            b.indices(input_ids, ids);
            let weight = b.matrix("weight", Axis::flat(vocab_size), Axis::flat(hidden_size));
            let out = b.output("out", Axis::flat(hidden_size));
            b.op(Op::Embedding { input_ids, weight, out });
            b.check(&[(out, Tolerance::Exact)]);
        }
    }
}
