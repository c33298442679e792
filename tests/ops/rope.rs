use streambp::model::{Axis, Config, Rope, RopeScaling};
use streambp::step::TensorId;
use streambp::step::ops;

use crate::support::model;
use crate::support::op_harness::{self, OpHarness, Shape, Tolerance};

fn harness(shape: &Shape, head_dim: u32, inverse: bool) -> (OpHarness, TensorId) {
    let mut b = OpHarness::new(&Config { head_dim, ..model::odd_config() }, shape);
    let x = b.input("x", Axis::heads(3, head_dim));
    let (segment_start, table) = (b.program().bindings.segment_start, b.program().bindings.rope_table);
    b.op(ops::Rope { x, segment_start, table, is_local: false, inverse });
    (b, x)
}

#[test]
fn kernel_and_reference_agree() {
    for shape in op_harness::shapes() {
        for head_dim in [2, 6, 10, 32, 64] {
            for inverse in [false, true] {
                let (b, x) = harness(&shape, head_dim, inverse);
                b.check(&[(x, Tolerance::Norm(5e-7))]);
            }
        }
    }
}

/// The reference takes the sine of the exact angle; the kernel combines two angles of a table.
#[test]
fn angles_of_late_positions_are_exact() {
    for lengths in [vec![20_000], vec![100, 9000]] {
        let (b, x) = harness(&Shape::whole(&lengths), 6, false);
        b.check(&[(x, Tolerance::Norm(5e-7))]);
    }
}

#[test]
fn the_inverse_is_the_slope() {
    let mut b = OpHarness::new(&model::odd_config(), &Shape::whole(&[3, 8]));
    let heads = Axis::heads(3, 6);
    let (x, d_x) = (b.input("x", heads), b.input("d_x", heads));
    let (segment_start, table) = (b.program().bindings.segment_start, b.program().bindings.rope_table);
    let d_out = b.values(d_x).to_vec();
    b.op(ops::Rope { x, segment_start, table, is_local: false, inverse: false });
    b.op(ops::Rope { x: d_x, segment_start, table, is_local: false, inverse: true });
    b.gradcheck(x, &d_out, &[(x, d_x)]);
}

#[test]
fn scaled_and_local_frequencies() {
    let llama3 = RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 90.0 };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_max_position_embeddings: 60.0,
        attention_factor: 0.7,
        beta_fast: 8.0,
        beta_slow: 1.0,
        truncate: false,
    };
    for scaling in [llama3, yarn, RopeScaling::Linear { factor: 8.0 }, RopeScaling::Dynamic { factor: 2.0 }] {
        let rope = Rope { theta: 1000.0, scaling };
        let windows = Config { sliding_window: 8, sliding_layers: vec![true], max_position_embeddings: 128, ..model::odd_config() };
        for (is_local, config) in [(false, Config { rope, ..windows.clone() }), (true, Config { local_rope: rope, ..windows })] {
            let mut b = OpHarness::new(&config, &Shape::whole(&[100, 300]));
            let x = b.input("x", Axis::heads(3, 6));
            let bindings = &b.program().bindings;
            let table = if is_local { bindings.local_rope_table } else { bindings.rope_table };
            let segment_start = bindings.segment_start;
            b.op(ops::Rope { x, segment_start, table, is_local, inverse: false });
            b.check(&[(x, Tolerance::Norm(5e-7))]);
        }
    }
}
