//! The device for tests: the one that `WGPU_ADAPTER_NAME` names, or the fastest. Without a device, tests fail.

use std::sync::OnceLock;

use streambp::gpu::{Executor, Gpu, Kernels, Tuning};
use streambp::step::{Plan, Program, TensorId};

/// The device.
pub fn gpu() -> Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| pollster::block_on(Gpu::open(None)).unwrap_or_else(|error| panic!("{error}"))).clone()
}

/// The tunings of the device and of other classes of adapter, as far as every compiler compiles them quickly.
pub fn tunings() -> Vec<Tuning> {
    let own = own_tuning();
    let others = [Tuning::SMALL_CPU].into_iter().chain(gpu_tunings()).filter(|&tuning| tuning != own);
    [own].into_iter().chain(others).collect()
}

/// The tunings of GPUs for short chunks of small matrices, and for long chunks of large ones.
pub fn gpu_tunings() -> [Tuning; 2] {
    [u32::MAX, 1].map(|busy_workgroups| Tuning { busy_workgroups, ..Tuning::GPU })
}

/// The tuning of the device.
pub fn own_tuning() -> Tuning {
    *gpu().tuning()
}

/// A program on the device, with a tuning.
pub fn executor(program: &Program, tuning: Tuning) -> Executor {
    let gpu = gpu().with_tuning(tuning);
    let kernels = Plan::new(program.clone(), gpu.limits()).and_then(|plan| Kernels::new(&gpu, plan));
    let executor = kernels.and_then(|kernels| pollster::block_on(Executor::new(kernels)));
    executor.unwrap_or_else(|error| panic!("{error}"))
}

/// The values of a tensor, in the device's layout.
pub fn read(executor: &Executor, id: TensorId) -> Vec<f32> {
    executor.program().tensor(id).decode(&pollster::block_on(executor.read(id)).unwrap())
}

/// The values of a tensor in f64, in the device's layout.
pub fn read_f64(executor: &Executor, id: TensorId) -> Vec<f64> {
    read(executor, id).into_iter().map(f64::from).collect()
}
