use streambp::model::{Axis, Config, ModelType};
use streambp::step::TensorId;
use streambp::step::ops::{NormGroups, RmsNorm, RmsNormGrad, RmsNormWeightGrad};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance, Width};

/// The operands, and the tensor of the gradient.
struct Operands {
    x: TensorId,
    out: TensorId,
    d_out: TensorId,
    d_x: TensorId,
}

/// A norm and its gradient, in a tensor of its own or in place of `x`.
fn harness(shape: &Shape, hidden_size: u32, in_place: bool) -> (OpHarness, Operands) {
    // A row of one element has hardly any gradient unless ε is large.
    let mut b = OpHarness::new(&Config { hidden_size, rms_norm_eps: 0.1, ..model::odd_config() }, shape);
    let x = b.input("x", Axis::flat(hidden_size));
    let weight = b.row("weight", Axis::flat(hidden_size));
    let out = b.output("out", Axis::flat(hidden_size));
    let rstd = b.output("rstd", Width::Exact(1));
    let d_out = b.input("d_out", Axis::flat(hidden_size));
    let d_x = if in_place { x } else { b.input("d_x", Axis::flat(hidden_size)) };
    b.op(RmsNorm { x, weight, out, rstd, residual: None, groups: op_harness::one_group(hidden_size) });
    b.op(RmsNormGrad { rstd, weight, d_out, d_x, x: (!in_place).then_some(x), groups: op_harness::one_group(hidden_size) });
    (b, Operands { x, out, d_out, d_x })
}

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for hidden_size in [1, 5, 18, 130] {
            for in_place in [false, true] {
                let (b, Operands { d_x, .. }) = harness(&shape, hidden_size, in_place);
                b.check(&[(d_x, Tolerance::Norm(1e-6))]);
            }
        }
    }
}

#[test]
fn reference_is_the_slope() {
    for in_place in [false, true] {
        let (mut b, Operands { x, out, d_out, d_x }) = harness(&Shape::whole(&[7]), 5, in_place);
        if !in_place {
            b.values(d_x).fill(0.0);
        }
        let weights = b.values(d_out).to_vec();
        b.gradcheck(out, &weights, &[(x, d_x)]);
    }
}

/// The gradients of norms of heads, in place, with a weight to which 1 may be added.
#[test]
fn groups_have_their_own_gradients() {
    let harness = |shape: &Shape, size: u32, model_type: ModelType| {
        let mut b = OpHarness::new(&Config { model_type, rms_norm_eps: 0.1, ..model::odd_config() }, shape);
        let (heads, groups) = (Axis::heads(3, size), NormGroups { count: 3, size });
        let [x, d_out] = ["x", "d_out"].map(|name| b.input(name, heads));
        let weight = b.row("weight", Axis::flat(size));
        let out = b.output("out", heads);
        let rstd = b.output("rstd", Width::Exact(3));
        let d_weight = b.row("d_weight", Axis::flat(size));
        b.values(d_weight).fill(0.0);
        b.op(RmsNorm { x, weight, out, rstd, residual: None, groups });
        b.op(RmsNormWeightGrad { x, rstd, d_out, d_weight, groups });
        b.op(RmsNormGrad { rstd, weight, d_out, d_x: x, x: None, groups });
        (b, [x, weight, out, d_out, d_weight])
    };
    for model_type in [ModelType::Llama, ModelType::Gemma3Text] {
        for (shape, size) in op_harness::few_shapes().into_iter().flat_map(|shape| [2, 6, 32].map(|size| (shape.clone(), size))) {
            let (b, [x, .., d_weight]) = harness(&shape, size, model_type);
            b.check(&[(x, Tolerance::Norm(1e-6)), (d_weight, Tolerance::Norm(2e-6))]);
        }
        let (mut b, [x, weight, out, d_out, d_weight]) = harness(&Shape::whole(&[7]), 6, model_type);
        let weights = b.values(d_out).to_vec();
        b.gradcheck(out, &weights, &[(x, x), (weight, d_weight)]);
    }
}
