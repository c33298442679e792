//! A workgroup has a token tile and a few columns.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program, TOKEN_TILE};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::Linear { x, weight, out, residual } = *op else { unreachable!("dispatched by kind") };
    let tile = tuning.linear;
    let columns = vec4s(program, out);
    let launch = Launch::new(op.kind(), Grid::TokenTiles(columns.div_ceil(tile.vec4s)))
        .write("x", x)
        .read("weight", weight)
        .write("out", out)
        .u32("in_vec4s", vec4s(program, weight))
        .u32("out_vec4s", columns)
        .absolute("x_absolute", program, x)
        .absolute("out_absolute", program, out)
        .absolute("residual_absolute", program, residual.unwrap_or(out))
        .constant("VEC4S", tile.vec4s)
        .constant("LANES", TOKEN_TILE / tile.tokens)
        .constant("TOKENS", tile.tokens)
        .condition("RESIDUAL", residual.is_some());
    match residual {
        Some(residual) => launch.write("residual", residual),
        None => launch,
    }
}
