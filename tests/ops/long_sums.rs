//! Sums of many terms: no kernel adds them in a single chain, whose rounding error grows with its length.

use streambp::model::{Axis, Config};
use streambp::step::Rows;
use streambp::step::ops::{BiasGrad, Linear, LinearGrad, LinearWeightGrad, LogSumExp, Loss, NormGroups, RmsNorm, RmsNormGrad};
use streambp::step::ops::{RmsNormWeightGrad, SquareSum, VocabRange};

use super::{attention_key_value_grad, clip, embedding_grad};
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance, Width};
use crate::support::{Random, compare, model};

/// Columns or vocabulary entries of a long sum.
const COLUMNS: u32 = 50_000;
/// Tokens, keys or queries of a long sum.
const TOKENS: u32 = 16_384;
/// The relative error of a sum of that many terms, of one sign or of both. A single chain has at least 1.6 times as much.
const TOLERANCE: Tolerance = Tolerance::Norm(1e-6);

/// Runs a check with operands of both signs, and of one.
fn with_signs(check: impl Fn(&dyn Fn(&mut OpHarness))) {
    check(&|_| ());
    check(&OpHarness::make_positive);
}

fn few_tokens() -> Shape {
    Shape::whole(&[70])
}

fn many_tokens() -> Shape {
    Shape { lengths: vec![TOKENS], chunk: 4096, rows: Rows::Tokens }
}

/// The tolerance tells a sum in blocks from a single chain.
#[test]
fn a_single_chain_fails() {
    let mut random = Random::new(5);
    for terms in [TOKENS, COLUMNS] {
        for is_positive in [false, true] {
            let mut product = || {
                let product = random.real() * random.real();
                if is_positive { product.abs() } else { product }
            };
            let columns: Vec<Vec<f32>> = (0..64).map(|_| (0..terms).map(|_| product()).collect()).collect();
            let exact: Vec<f64> = columns.iter().map(|terms| terms.iter().map(|&term| f64::from(term)).sum()).collect();
            let summed = |block: usize| -> Vec<f64> {
                let sum = |terms: &[f32]| terms.chunks(block).map(|block| block.iter().sum::<f32>()).sum::<f32>();
                columns.iter().map(|terms| f64::from(sum(terms))).collect()
            };
            let Tolerance::Norm(tolerance) = TOLERANCE else { unreachable!() };
            compare::norm("blocks", &summed(1024), &exact, tolerance).unwrap();
            compare::norm("a chain", &summed(terms as usize), &exact, 1.6 * tolerance).unwrap_err();
        }
    }
}

#[test]
fn of_columns() {
    with_signs(|prepare| {
        for (has_bias, accumulate) in [(true, false), (false, true)] {
            let (rows, cols) = (Axis::flat(5), Axis::flat(COLUMNS));
            let mut b = OpHarness::new(&model::odd_config(), &few_tokens());
            let x = b.input("x", cols);
            let weight = b.matrix("weight", rows, cols);
            let bias = has_bias.then(|| b.row("bias", rows));
            let residual = has_bias.then(|| b.input("residual", rows));
            let out = if accumulate { b.input("out", rows) } else { b.output("out", rows) };
            b.op(Linear { x, weight, out, bias, residual, slice: op_harness::whole(rows), scale: 0.5, accumulate });
            prepare(&mut b);
            b.check(&[(out, TOLERANCE)]);
        }
    });
}

#[test]
fn of_rows() {
    with_signs(|prepare| {
        for accumulate in [false, true] {
            let (rows, cols) = (Axis::flat(COLUMNS), Axis::flat(5));
            let mut b = OpHarness::new(&model::odd_config(), &few_tokens());
            let d_out = b.input("d_out", rows);
            let weight = b.matrix("weight", rows, cols);
            let d_x = if accumulate { b.input("d_x", cols) } else { b.output("d_x", cols) };
            b.op(LinearGrad { d_out, weight, d_x, slice: op_harness::whole(rows), scale: 1.0, accumulate });
            prepare(&mut b);
            b.check(&[(d_x, TOLERANCE)]);
        }
    });
}

#[test]
fn of_squares_and_products_of_a_row() {
    let config = Config { hidden_size: COLUMNS, ..model::odd_config() };
    let mut b = OpHarness::new(&config, &Shape::whole(&[3]));
    let groups = op_harness::one_group(COLUMNS);
    let [x, d_out] = ["x", "d_out"].map(|name| b.input(name, Axis::flat(COLUMNS)));
    let weight = b.row("weight", Axis::flat(COLUMNS));
    let [out, d_x] = ["out", "d_x"].map(|name| b.output(name, Axis::flat(COLUMNS)));
    let rstd = b.output("rstd", Width::Exact(1));
    b.op(RmsNorm { x, weight, out, rstd, residual: None, groups });
    b.values(d_x).fill(0.0);
    b.op(RmsNormGrad { rstd, weight, d_out, d_x, x: Some(x), groups });
    b.make_positive();
    b.check(&[(rstd, Tolerance::Norm(5e-7)), (out, Tolerance::Norm(5e-7)), (d_x, TOLERANCE)]);
}

#[test]
fn of_tokens() {
    with_signs(|prepare| {
        let (rows, cols) = (Axis::flat(5), Axis::flat(9));
        let mut b = OpHarness::new(&model::odd_config(), &many_tokens());
        let d_out = b.input("d_out", rows);
        let x = b.input("x", cols);
        let d_weight = b.matrix("d_weight", rows, cols);
        let d_bias = b.row("d_bias", rows);
        b.op(LinearWeightGrad { d_out, x, d_weight, slice: op_harness::whole(rows) });
        b.op(BiasGrad { d_out, d_bias });
        prepare(&mut b);
        b.check(&[(d_weight, TOLERANCE), (d_bias, TOLERANCE)]);
    });
}

/// A norm of heads sums over tokens and heads.
#[test]
fn of_tokens_and_heads() {
    with_signs(|prepare| {
        let heads = Axis::heads(32, 4);
        let mut b = OpHarness::new(&model::odd_config(), &many_tokens());
        let [x, d_out] = ["x", "d_out"].map(|name| b.input(name, heads));
        let rstd = b.input("rstd", Width::Exact(32));
        let d_weight = b.row("d_weight", Axis::flat(4));
        b.op(RmsNormWeightGrad { x, rstd, d_out, d_weight, groups: NormGroups { count: 32, size: 4 } });
        prepare(&mut b);
        b.check(&[(d_weight, TOLERANCE)]);
    });
}

/// Every token has the same id.
#[test]
fn of_tokens_with_one_id() {
    with_signs(|prepare| {
        let (mut b, operands) = embedding_grad::harness(&[TOKENS], 1, 5);
        prepare(&mut b);
        b.check(&[(operands.d_weight, TOLERANCE)]);
    });
}

/// Key 0 is seen by all queries, and the last query sees all keys. More query heads share a key than a tile of queries may sum at once.
#[test]
fn of_keys_and_queries() {
    let few_keys = Shape { lengths: vec![2048], chunk: 1024, rows: Rows::Tokens };
    for (num_attention_heads, shape, is_positive) in [(20, few_keys, false), (1, many_tokens(), false), (1, many_tokens(), true)] {
        let config = Config { head_dim: 4, num_attention_heads, num_key_value_heads: 1, ..model::odd_config() };
        let (mut b, operands, [_, d_q, d_k, d_v]) = attention_key_value_grad::harness(&shape, &config);
        if is_positive {
            // The gradients of the scores are differences all the same.
            b.make_positive();
            b.check(&[(operands.out, TOLERANCE), (d_v, TOLERANCE)]);
        } else {
            b.check(&[(operands.out, TOLERANCE), (d_q, TOLERANCE), (d_k, TOLERANCE), (d_v, TOLERANCE)]);
        }
    }
}

#[test]
fn of_exponentials() {
    let config = Config { vocab_size: COLUMNS, ..model::odd_config() };
    let mut b = OpHarness::new(&config, &few_tokens());
    let labels = b.program().bindings.labels;
    b.indices(labels, model::batch(&config, &few_tokens().lengths, 3).labels);
    let stats = b.output("stats", Width::Exact(4));
    let logits = b.input("logits", Axis::flat(COLUMNS));
    b.op(LogSumExp { logits, labels, stats, range: VocabRange { first: 0, count: COLUMNS }, temperature: 1.0 });
    b.check(&[(stats, Tolerance::Norm(5e-7))]);
}

/// The squares of a matrix of a usual size, and the partial sums of as many parameters as a large model has.
#[test]
fn of_squares() {
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[1]));
    let x = b.matrix("x", Axis::flat(4096), Axis::flat(2048));
    let partials = b.matrix("partials", Axis::flat(4), Width::Exact(256));
    b.op(SquareSum { x, partials, slot: 2, slots: 1 });
    b.check(&[(partials, Tolerance::Norm(5e-7))]);

    let (b, metrics, _) = clip::harness(300, 1.0);
    b.check(&[(metrics, Tolerance::Norm(5e-7))]);
}

#[test]
fn of_log_probs() {
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[10 * TOKENS]));
    let mut random = Random::new(3);
    let bindings = b.program().bindings.clone();
    b.adopt(bindings.log_probs).iter_mut().for_each(|value| *value = -random.real().abs());
    b.adopt(bindings.loss_weight).iter_mut().for_each(|value| *value = random.real().abs());
    b.adopt(bindings.metrics);
    b.op(Loss { log_probs: bindings.log_probs, loss_weight: bindings.loss_weight, metrics: bindings.metrics });
    b.check(&[(bindings.metrics, Tolerance::Norm(5e-7))]);
}
