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
        .absolute("d_out_absolute", program, d_out)
        .absolute("gate_absolute", program, gate)
        .absolute("up_absolute", program, up)
        .condition("GELU", program.config.hidden_act == Activation::GeluTanh)
}
