//! A thread has four columns of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::model::Activation;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::GluGrad { d_out, gate, up } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, d_out);
    Launch::new(op.kind(), Grid::ThreadsPerToken(row))
        .write("d_out", d_out)
        .write("gate", gate)
        .write("up", up)
        .u32("row_vec4s", row)
        .period("d_out_period", program, d_out)
        .period("gate_period", program, gate)
        .period("up_period", program, up)
        .condition("GELU", program.config.hidden_act == Activation::GeluTanh)
}
