use streambp::model::{Axis, Config};
use streambp::step::{IGNORED_LABEL, Op, TensorId};

use crate::support::bench::{self, Bench, Shape, Tolerance};
use crate::support::model;

/// The operation with random labels, some of them ignored, and a weight of its own for each token.
fn bench(shape: &Shape, vocab_size: u32) -> (Bench, TensorId) {
    let config = Config { vocab_size, ..model::odd_config() };
    let labels = model::batch(&config, &shape.lengths, 3).labels;
    let mut b = Bench::new(&config, shape);
    let bindings = b.program().bindings.clone();
    let logits = b.input("logits", Axis::flat(vocab_size));
    b.adopt(bindings.log_probs).fill(f32::NAN);
    let weights = b.adopt(bindings.loss_weight);
    for (i, label) in labels.iter().enumerate() {
        weights[i] = if *label == IGNORED_LABEL { 0.0 } else { 0.1 + (i % 7) as f32 };
    }
    b.indices(bindings.labels, labels);
    b.op(Op::CrossEntropy { logits, labels: bindings.labels, loss_weight: bindings.loss_weight, log_probs: bindings.log_probs });
    (b, logits)
}

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::shapes() {
        for vocab_size in [1, 3, 37, 257] {
            let (b, logits) = bench(&shape, vocab_size);
            let log_probs = b.program().bindings.log_probs;
            b.check(&[(logits, Tolerance::Norm(1e-6)), (log_probs, Tolerance::Norm(1e-6))]);
        }
    }
}

/// Exponentials that no f32 can hold, and padding that would be the largest of them.
#[test]
fn large_logits_do_not_overflow() {
    let (mut b, logits) = bench(&Shape::whole(&[70, 59]), 37);
    for (i, logit) in b.values(logits).iter_mut().enumerate() {
        *logit = if i % 40 < 37 { *logit * 200.0 } else { 1e6 };
    }
    let log_probs = b.program().bindings.log_probs;
    // Logits of up to 350 are rounded by up to 1.5e-5, and so is the logarithm of their sum; that much, relatively, are
    // exponentials of their difference off.
    b.check(&[(logits, Tolerance::Norm(3e-5)), (log_probs, Tolerance::Norm(1e-6))]);
}

#[test]
fn reference_is_the_slope() {
    let (mut b, logits) = bench(&Shape::whole(&[3, 8]), 5);
    let (log_probs, loss_weight) = (b.program().bindings.log_probs, b.program().bindings.loss_weight);
    let weights: Vec<f32> = b.values(loss_weight).iter().map(|weight| -weight).collect();
    b.check_slopes(log_probs, &weights, &[(logits, logits)]);
}
