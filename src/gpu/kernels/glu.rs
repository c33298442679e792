//! A thread has four columns of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::model::Activation;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Glu { gate, up, out } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, out);
    Launch::new(op.kind(), Grid::ThreadsPerToken(row))
        .write("gate", gate)
        .write("up", up)
        .write("out", out)
        .u32("row_vec4s", row)
        .period("gate_period", program, gate)
        .period("up_period", program, up)
        .period("out_period", program, out)
        .condition("GELU", program.config.hidden_act == Activation::GeluTanh)
}
