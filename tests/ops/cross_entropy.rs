use streambp::model::{Axis, Config};
use streambp::step::ops::{CrossEntropy, LogSumExp, VocabRange};
use streambp::step::{IGNORED_LABEL, TensorId};

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance, Width};

/// The operation with random labels, some of them ignored, and a random loss weight per token.
fn harness(shape: &Shape, vocab_size: u32, cap: Option<f64>) -> (OpHarness, TensorId) {
    let config = Config { vocab_size, final_logit_softcapping: cap, ..model::odd_config() };
    let labels = model::batch(&config, &shape.lengths, 3).labels;
    let mut b = OpHarness::new(&config, shape);
    let bindings = b.program().bindings.clone();
    let logits = b.input("logits", Axis::flat(vocab_size));
    b.adopt(bindings.log_probs).fill(f32::NAN);
    let weights = b.adopt(bindings.loss_weight);
    for (i, label) in labels.iter().enumerate() {
        weights[i] = if *label == IGNORED_LABEL { 0.0 } else { 0.1 + (i % 7) as f32 };
    }
    b.indices(bindings.labels, labels);
    let stats = b.output("stats", Width::Exact(4));
    let (range, labels) = (VocabRange { first: 0, count: vocab_size }, bindings.labels);
    b.op(LogSumExp { logits, labels, stats, range, temperature: 1.0 });
    let (loss_weight, log_probs) = (bindings.loss_weight, bindings.log_probs);
    b.op(CrossEntropy { logits, labels, loss_weight, stats, log_probs, range, temperature: 1.0 });
    (b, logits)
}

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for (vocab_size, cap) in [(1, None), (3, None), (37, None), (257, None), (37, Some(0.8)), (2500, None)] {
            let (b, logits) = harness(&shape, vocab_size, cap);
            let log_probs = b.program().bindings.log_probs;
            b.check(&[(logits, Tolerance::Norm(1e-6)), (log_probs, Tolerance::Norm(1e-6))]);
        }
    }
}

/// Exponentials that overflow f32, and padding that would be the largest logit.
#[test]
fn large_logits_do_not_overflow() {
    let (mut b, logits) = harness(&Shape::whole(&[70, 59]), 37, None);
    for (i, logit) in b.values(logits).iter_mut().enumerate() {
        *logit = if i % 40 < 37 { *logit * 200.0 } else { 1e6 };
    }
    let log_probs = b.program().bindings.log_probs;
    // Logits of up to 350, and the logarithm of their sum, are rounded by up to 1.5e-5 each, which becomes the relative error of the
    // exponential of their difference.
    b.check(&[(logits, Tolerance::Norm(3e-5)), (log_probs, Tolerance::Norm(1e-6))]);
}

#[test]
fn reference_is_the_slope() {
    for cap in [None, Some(0.8)] {
        let (mut b, logits) = harness(&Shape::whole(&[3, 8]), 5, cap);
        let (log_probs, loss_weight) = (b.program().bindings.log_probs, b.program().bindings.loss_weight);
        let weights: Vec<f32> = b.values(loss_weight).iter().map(|weight| -weight).collect();
        b.gradcheck(log_probs, &weights, &[(logits, logits)]);
    }
}
