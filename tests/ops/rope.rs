use streambp::model::{Axis, Config};
use streambp::step::{Op, TensorId};

use crate::support::bench::{self, Bench, Shape, Tolerance};
use crate::support::model;

fn bench(shape: &Shape, head_dim: u32, inverse: bool) -> (Bench, TensorId) {
    let mut b = Bench::new(&Config { head_dim, ..model::odd_config() }, shape);
    let x = b.input("x", Axis::heads(3, head_dim));
    let (segment_start, table) = (b.program().bindings.segment_start, b.program().bindings.rope_table);
    b.op(Op::Rope { x, segment_start, table, inverse });
    (b, x)
}

#[test]
fn kernel_and_reference_agree() {
    for shape in bench::shapes() {
        for head_dim in [2, 6, 10, 32, 64] {
            for inverse in [false, true] {
                let (b, x) = bench(&shape, head_dim, inverse);
                b.check(&[(x, Tolerance::Norm(5e-7))]);
            }
        }
    }
}

/// The reference takes the sine of the exact angle, the kernel adds two angles of a table.
#[test]
fn angles_of_late_positions_are_exact() {
    for lengths in [vec![20_000], vec![100, 9000]] {
        let (b, x) = bench(&Shape::whole(&lengths), 6, false);
        b.check(&[(x, Tolerance::Norm(5e-7))]);
    }
}

#[test]
fn the_inverse_is_the_slope() {
    let mut b = Bench::new(&model::odd_config(), &Shape::whole(&[3, 8]));
    let heads = Axis::heads(3, 6);
    let (x, d_x) = (b.input("x", heads), b.input("d_x", heads));
    let (segment_start, table) = (b.program().bindings.segment_start, b.program().bindings.rope_table);
    let d_out = b.values(d_x).to_vec();
    b.op(Op::Rope { x, segment_start, table, inverse: false });
    b.op(Op::Rope { x: d_x, segment_start, table, inverse: true });
    b.check_slopes(x, &d_out, &[(x, d_x)]);
}
