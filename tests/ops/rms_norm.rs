use streambp::model::{Axis, Config, ModelType};
use streambp::step::ops::{NormGroups, RmsNorm};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Tolerance, Width};

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for hidden_size in [1, 5, 18, 130] {
            let mut b = OpHarness::new(&Config { hidden_size, ..model::odd_config() }, &shape);
            let x = b.input("x", Axis::flat(hidden_size));
            let weight = b.row("weight", Axis::flat(hidden_size));
            let out = b.output("out", Axis::flat(hidden_size));
            let rstd = b.output("rstd", Width::Exact(1));
            b.op(RmsNorm { x, weight, out, rstd, residual: None, groups: op_harness::one_group(hidden_size) });
            b.check(&[(out, Tolerance::Norm(5e-7)), (rstd, Tolerance::Norm(5e-7))]);
        }
    }
}

/// Variants of some families: heads of queries or keys, weights to which 1 is added, and a residual.
#[test]
fn groups_are_normalized_separately() {
    for (shape, size) in op_harness::few_shapes().into_iter().flat_map(|shape| [2, 6, 32].map(|size| (shape.clone(), size))) {
        for model_type in [ModelType::Llama, ModelType::Gemma3Text] {
            let mut b = OpHarness::new(&Config { model_type, ..model::odd_config() }, &shape);
            let heads = Axis::heads(3, size);
            let [x, residual] = ["x", "residual"].map(|name| b.input(name, heads));
            let weight = b.row("weight", Axis::flat(size));
            let out = b.output("out", heads);
            let rstd = b.output("rstd", Width::Exact(3));
            b.op(RmsNorm { x, weight, out, rstd, residual: Some(residual), groups: NormGroups { count: 3, size } });
            b.check(&[(out, Tolerance::Norm(5e-7)), (rstd, Tolerance::Norm(5e-7))]);
        }
    }
}
