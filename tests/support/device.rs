//! The device that tests run on: the one that `WGPU_ADAPTER_NAME` asks for, or the fastest there is. None is a failure.

use std::sync::OnceLock;

use streambp::gpu::{Executor, Gpu, Kernels, Tuning};
use streambp::step::{Plan, Program, TensorId};

/// The device.
pub fn gpu() -> Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| pollster::block_on(Gpu::open(None)).unwrap_or_else(|error| panic!("{error}"))).clone()
}

/// The kernels that it gets, and those for other classes of adapter that any compiler is done with in a moment.
pub fn tunings() -> Vec<Tuning> {
    let own = own_tuning();
    let others = [Tuning::SMALL_CPU, Tuning::GPU].into_iter().filter(|&tuning| tuning != own);
    [own].into_iter().chain(others).collect()
}

/// The kernels that it gets.
pub fn own_tuning() -> Tuning {
    *gpu().tuning()
}

/// A program on the device, with kernels for some class of adapter.
pub fn executor(program: &Program, tuning: Tuning) -> Executor {
    let gpu = gpu().with_tuning(tuning);
    let kernels = Plan::new(program.clone(), gpu.limits()).and_then(|plan| Kernels::new(&gpu, plan));
    let executor = kernels.and_then(|kernels| pollster::block_on(Executor::new(kernels)));
    executor.unwrap_or_else(|error| panic!("{error}"))
}

/// A tensor's values, in the layout of the device.
pub fn read(executor: &Executor, id: TensorId) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(&pollster::block_on(executor.read(id)).unwrap())
}

/// A tensor's values, in the layout of the device, for comparisons.
pub fn read_f64(executor: &Executor, id: TensorId) -> Vec<f64> {
    read(executor, id).into_iter().map(f64::from).collect()
}
