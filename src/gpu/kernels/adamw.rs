//! One thread per four elements of the parameter.

use super::kernel::{Kernel, all_vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::AdamW;
use crate::step::{OpKind, Program};

impl Kernel for AdamW {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let AdamW { gradient, adamw_params, metrics, weight, moment1, moment2, decay } = *self;
        let vec4s = all_vec4s(program, weight);
        Some(
            Dispatch::new(OpKind::AdamW, Grid::Threads(vec4s))
                .read("gradient", gradient)
                .read("adamw_params", adamw_params)
                .read("metrics", metrics)
                .write("weight", weight)
                .write("moment1", moment1)
                .write("moment2", moment2)
                .u32("vec4s", vec4s as u32)
                .f32("decay", f32::from(u8::from(decay))),
        )
    }
}
