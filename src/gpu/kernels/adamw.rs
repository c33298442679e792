//! A thread has four elements.

use super::all_vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::AdamW { gradient, settings, metrics, weight, moment1, moment2, decay } = *op else { unreachable!("dispatched by kind") };
    let vec4s = all_vec4s(program, weight);
    Launch::new(op.kind(), Grid::Threads(vec4s))
        .read("gradient", gradient)
        .read("settings", settings)
        .read("metrics", metrics)
        .write("weight", weight)
        .write("moment1", moment1)
        .write("moment2", moment2)
        .u32("vec4s", vec4s as u32)
        .f32("decay", f32::from(u8::from(decay)))
}
