//! The GPU device: adapter selection, asynchronous waiting, and device faults.

use std::sync::{Arc, Mutex};

use futures_channel::oneshot;

use super::memory_counter::MemoryCounter;
use super::pipelines::Pipelines;
use super::tuning::Tuning;
use crate::error::{Error, Result};
use crate::step::Limits;

/// A device with its queue. Clones share the device and its compiled pipelines.
#[derive(Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Pipelines,
    pub(super) memory_counter: MemoryCounter,
    /// The name of this handle's buffers in the memory counter.
    pub(super) used_for: &'static str,
    summary: AdapterSummary,
    subgroup_size: Option<u32>,
    tuning: Tuning,
    watched: Arc<Mutex<Watched>>,
}

/// The state that callbacks of the device update.
#[derive(Default)]
struct Watched {
    fault: Option<DeviceFault>,
    /// Results that are waited for. Some browsers never deliver them once the device is lost.
    pending: Vec<Pending>,
}

/// Pending work: completion of a submission, or of mapping a buffer that it writes.
pub(super) struct PendingWork {
    receiver: oneshot::Receiver<Result<(), String>>,
    submission: wgpu::SubmissionIndex,
}

/// The sending end of a result that is waited for.
type Pending = Arc<Mutex<Option<oneshot::Sender<Result<(), String>>>>>;

fn answer(pending: &Pending, outcome: Result<(), String>) {
    if let Some(waiting) = pending.lock().expect("no holder panics").take() {
        // The receiver may have been dropped.
        let _ = waiting.send(outcome);
    }
}

/// A fault that the device reported asynchronously.
#[derive(Clone, Debug)]
enum DeviceFault {
    Lost(String),
    Error(String),
}

/// A description of an adapter.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterSummary {
    /// Its name.
    pub name: String,
    /// Vulkan, Metal, Dx12 or BrowserWebGpu.
    pub backend: String,
    /// DiscreteGpu, IntegratedGpu, VirtualGpu, Cpu or Other.
    pub device_type: String,
    /// The driver, with its version.
    pub driver: String,
    /// The largest storage binding, in bytes.
    pub max_storage_buffer_binding_size: u64,
    /// The largest buffer, in bytes.
    pub max_buffer_size: u64,
    /// Limits of base WebGPU that the adapter does not reach: "name: found of needed".
    pub missing: Vec<String>,
}

impl AdapterSummary {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let mut missing = Vec::new();
        wgpu::Limits::default().check_limits_with_fail_fn(&limits, false, |name, needed, found| {
            missing.push(format!("{name}: {found} of {needed}"));
        });
        AdapterSummary {
            name: if info.name.is_empty() { "WebGPU adapter".to_owned() } else { info.name },
            backend: format!("{:?}", info.backend),
            device_type: format!("{:?}", info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            missing,
        }
    }
}

/// Features for kernels whose threads exchange loaded values within a subgroup, as packed 64-bit integers.
const FOR_SUBGROUPS: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::SHADER_INT64);
/// Optional features: timestamp queries, and subgroups.
const WANTED: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY.union(FOR_SUBGROUPS);
/// Storage buffers of a dispatch that the kernels can use: the weight gradients of queries, keys and values beside the gradient of their
/// input. Base WebGPU has eight, browsers have ten on most adapters.
const WANTED_STORAGE_BUFFERS: u32 = 11;

impl Gpu {
    /// Opens a device on the adapter whose name contains `wanted`, or the environment variable `WGPU_ADAPTER_NAME` (natively). Without
    /// either it takes the fastest kind of adapter.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] or, in a browser, [`Error::NoBrowserAdapter`] or [`Error::NoWebGpu`] if there is no adapter; [`Error::AdapterLimit`] if the adapter lacks a
    /// limit of base WebGPU; [`Error::NoDevice`] if it refuses a device.
    pub async fn open(wanted: Option<&str>) -> Result<Gpu> {
        Gpu::open_nth(wanted, 0).await
    }

    /// The same for one of several processes on a machine: the `number`-th adapter of the fastest kind, as far as there are so many.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open_nth(wanted: Option<&str>, number: u32) -> Result<Gpu> {
        let adapter = choose(wanted, number).await?;
        let summary = AdapterSummary::of(&adapter);
        let limits = adapter.limits();
        let mut required = wgpu::Limits::default();
        let mut lacking = None;
        required.check_limits_with_fail_fn(&limits, true, |limit, needed, found| lacking = Some((limit, needed, found)));
        if let Some((limit, needed, found)) = lacking {
            return Err(Error::AdapterLimit { adapter: summary.name, limit, found, needed });
        }
        required.max_buffer_size = limits.max_buffer_size;
        required.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size;
        required.max_storage_buffers_per_shader_stage = limits.max_storage_buffers_per_shader_stage.min(WANTED_STORAGE_BUFFERS);
        let features = adapter.features() & WANTED;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("streambp"),
            required_features: features,
            required_limits: required,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let refused = |e: wgpu::RequestDeviceError| Error::NoDevice { adapter: summary.name.clone(), reason: e.to_string() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(refused)?;
        let info = adapter.get_info();
        let subgroup_size =
            (features.contains(FOR_SUBGROUPS) && info.subgroup_min_size == info.subgroup_max_size).then_some(info.subgroup_max_size);
        let tuning = tuning(&info, subgroup_size, vendor().await.as_deref());
        let watched = watch(&device);
        let (pipelines, memory_counter) = (Pipelines::default(), MemoryCounter::default());
        let gpu = Gpu { device, queue, pipelines, memory_counter, used_for: "step", summary, subgroup_size, tuning, watched };
        Ok(gpu.with_tuning(tuning))
    }

    /// All adapters of this machine.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn adapters() -> Vec<AdapterSummary> {
        instance().enumerate_adapters(wgpu::Backends::all()).await.iter().map(AdapterSummary::of).collect()
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.summary.name
    }

    /// The description of the adapter.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// The limits for plans on this device.
    pub fn limits(&self) -> Limits {
        Limits { buffer: self.summary.max_buffer_size, binding: self.summary.max_storage_buffer_binding_size }
    }

    /// Does the device support timestamp queries?
    pub fn has_clock(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// The fixed subgroup size in threads, if kernels can rely on it and use subgroup operations.
    pub(super) fn subgroup_size(&self) -> Option<u32> {
        // wgpu does not support subgroups in browsers.
        self.subgroup_size.filter(|_| !cfg!(target_arch = "wasm32"))
    }

    /// The tile sizes of its kernels.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The same device with kernels of another tuning.
    pub fn with_tuning(self, tuning: Tuning) -> Gpu {
        let max_storage_buffers = self.device.limits().max_storage_buffers_per_shader_stage;
        Gpu { tuning: Tuning { max_storage_buffers, ..tuning }, ..self }
    }

    /// The same device, with another name for its buffers in [`Gpu::buffers`].
    pub fn used_for(&self, what: &'static str) -> Gpu {
        Gpu { used_for: what, ..self.clone() }
    }

    /// Bytes of all existing buffers of the device, by name of use.
    pub fn buffers(&self) -> Vec<(&'static str, u64)> {
        self.memory_counter.entries()
    }

    /// Destroys the device: whatever runs on it from now on fails with [`Error::DeviceLost`].
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Is the device lost?
    pub fn is_lost(&self) -> bool {
        matches!(self.check(), Err(Error::DeviceLost { .. }))
    }

    /// Waits until the device has completed all submitted work.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Device`].
    pub async fn wait(&self) -> Result<()> {
        let (pending, receiver) = self.pending();
        self.queue.on_submitted_work_done(move || answer(&pending, Ok(())));
        self.outcome(receiver, wgpu::PollType::wait_indefinitely()).await
    }

    /// Pending completion of `submission`, which must be the last one.
    pub(super) fn when_done(&self, submission: wgpu::SubmissionIndex) -> PendingWork {
        let (pending, receiver) = self.pending();
        self.queue.on_submitted_work_done(move || answer(&pending, Ok(())));
        PendingWork { receiver, submission }
    }

    /// Pending mapping of the first `bytes` bytes of a buffer that `submission` writes.
    pub(super) fn when_mapped(&self, buffer: &wgpu::Buffer, bytes: u64, submission: wgpu::SubmissionIndex) -> PendingWork {
        let (pending, receiver) = self.pending();
        buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| answer(&pending, result.map_err(|e| e.to_string())));
        PendingWork { receiver, submission }
    }

    /// Waits for pending work. Later submissions continue meanwhile.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub(super) async fn wait_for(&self, pending: PendingWork) -> Result<()> {
        self.outcome(pending.receiver, wgpu::PollType::Wait { submission_index: Some(pending.submission), timeout: None }).await
    }

    /// Registers a new pending result.
    fn pending(&self) -> (Pending, oneshot::Receiver<Result<(), String>>) {
        let (sender, receiver) = oneshot::channel();
        let pending = Arc::new(Mutex::new(Some(sender)));
        let mut watched = self.watched.lock().expect("no holder panics");
        watched.pending.retain(|pending| Arc::strong_count(pending) > 1);
        watched.pending.push(pending.clone());
        (pending, receiver)
    }

    /// Waits for a result.
    async fn outcome(&self, receiver: oneshot::Receiver<Result<(), String>>, poll: wgpu::PollType) -> Result<()> {
        let polled = self.device.poll(poll);
        if polled.is_err() {
            // Polling was refused, perhaps because the device is lost. The loss is reported once its last work is over.
            let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        }
        self.check()?;
        polled.map_err(|e| Error::Device(e.to_string()))?;
        let outcome = receiver.await.map_err(|_| Error::DeviceLost { reason: "a pending result was dropped".to_owned() })?;
        self.check()?;
        outcome.map_err(Error::Device)
    }

    /// Checks whether the device has reported a fault.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Device`].
    pub(super) fn check(&self) -> Result<()> {
        let fault = || self.watched.lock().expect("no holder panics").fault.clone();
        let mut found = fault();
        if matches!(found, Some(DeviceFault::Error(_))) {
            // A loss is reported once the device's last work is over; errors that it causes may be reported before.
            let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
            found = fault();
        }
        match found {
            None => Ok(()),
            Some(DeviceFault::Lost(reason)) => Err(Error::DeviceLost { reason }),
            Some(DeviceFault::Error(message)) => Err(Error::Device(message)),
        }
    }

    /// Reads a mappable buffer.
    ///
    /// # Errors
    /// As [`Gpu::check`].
    pub(super) async fn map(&self, buffer: &wgpu::Buffer) -> Result<Vec<u8>> {
        let (pending, receiver) = self.pending();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| answer(&pending, result.map_err(|e| e.to_string())));
        self.outcome(receiver, wgpu::PollType::wait_indefinitely()).await?;
        let bytes = buffer.get_mapped_range(..).map_err(|e| Error::Device(e.to_string()))?.to_vec();
        buffer.unmap();
        Ok(bytes)
    }
}

/// Makers of GPUs, as browsers name them.
const GPU_VENDORS: [&str; 7] = ["amd", "apple", "arm", "img-tec", "intel", "nvidia", "qualcomm"];

/// Does the adapter run on the CPU? Browsers do not always report it, but hardly a GPU has a largest subgroup of at most eight threads (0
/// means that the browser does not report it): Mali has four to eight, and its maker.
fn runs_on_cpu(info: &wgpu::AdapterInfo, vendor: Option<&str>) -> bool {
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};
    match info.device_type {
        Cpu => true,
        DiscreteGpu | IntegratedGpu => false,
        VirtualGpu | Other => {
            (1..=8).contains(&info.subgroup_max_size)
                && !vendor.is_some_and(|vendor| GPU_VENDORS.contains(&vendor.to_ascii_lowercase().as_str()))
        }
    }
}

/// The tuning for a class of adapter.
fn tuning(info: &wgpu::AdapterInfo, subgroup_size: Option<u32>, vendor: Option<&str>) -> Tuning {
    let runs_on_cpu = runs_on_cpu(info, vendor);
    match info.subgroup_max_size {
        _ if !runs_on_cpu => Tuning::GPU,
        8 if subgroup_size == Some(8) => match mesa(&info.driver_info) {
            Some(..25) => Tuning::CPU_SUBGROUP_LONG,
            _ => Tuning::CPU_SUBGROUP,
        },
        8 => Tuning::CPU,
        _ => Tuning::SMALL_CPU,
    }
}

/// The major version of Mesa, if the driver is part of it.
fn mesa(driver_info: &str) -> Option<u32> {
    driver_info.strip_prefix("Mesa ")?.split('.').next()?.parse().ok()
}

/// Records the first fault that the device reports. A loss overrides an error and fails all pending results.
fn watch(device: &wgpu::Device) -> Arc<Mutex<Watched>> {
    let watched: Arc<Mutex<Watched>> = Arc::default();
    let (lost, error) = (watched.clone(), watched.clone());
    device.set_device_lost_callback(move |reason, message| {
        let words = if message.is_empty() { format!("{reason:?}") } else { message };
        let pending = {
            let mut watched = lost.lock().expect("no holder panics");
            watched.fault = Some(DeviceFault::Lost(words.clone()));
            std::mem::take(&mut watched.pending)
        };
        pending.iter().for_each(|pending| answer(pending, Err(words.clone())));
    });
    device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
        error.lock().expect("no holder panics").fault.get_or_insert(DeviceFault::Error(e.to_string()));
    }));
    watched
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

#[cfg(target_arch = "wasm32")]
async fn choose(_wanted: Option<&str>, _number: u32) -> Result<wgpu::Adapter> {
    let options = wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    let found = instance().request_adapter(&options).await;
    found.map_err(|_| if has_webgpu() { Error::NoBrowserAdapter } else { Error::NoWebGpu })
}

/// The maker of the adapter, if the browser names it. wgpu does not pass it on.
#[cfg(target_arch = "wasm32")]
async fn vendor() -> Option<String> {
    use wasm_bindgen::JsCast;
    let of = |object: &wasm_bindgen::JsValue, name: &str| js_sys::Reflect::get(object, &name.into()).ok();
    let gpu = of(&of(&js_sys::global(), "navigator")?, "gpu")?;
    let options = js_sys::Object::new();
    js_sys::Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).ok()?;
    let request: js_sys::Function = of(&gpu, "requestAdapter")?.dyn_into().ok()?;
    let asked: js_sys::Promise = request.call1(&gpu, &options).ok()?.dyn_into().ok()?;
    let adapter = wasm_bindgen_futures::JsFuture::from(asked).await.ok()?;
    of(&of(&adapter, "info")?, "vendor")?.as_string()
}

/// Natively, adapters tell what they are.
#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::unused_async, reason = "a browser is asked")]
async fn vendor() -> Option<String> {
    None
}

/// Does the browser support WebGPU, whatever the machine has?
#[cfg(target_arch = "wasm32")]
fn has_webgpu() -> bool {
    let of =
        |object: &wasm_bindgen::JsValue, name: &str| js_sys::Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined());
    of(&js_sys::global(), "navigator").and_then(|navigator| of(&navigator, "gpu")).is_some()
}

#[cfg(not(target_arch = "wasm32"))]
async fn choose(wanted: Option<&str>, number: u32) -> Result<wgpu::Adapter> {
    let wanted = wanted.map(str::to_owned).or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok());
    let is_wanted = |adapter: &wgpu::Adapter| match &wanted {
        Some(name) => adapter.get_info().name.to_ascii_lowercase().contains(&name.to_ascii_lowercase()),
        None => true,
    };
    let rank = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    };
    let adapters = instance().enumerate_adapters(wgpu::Backends::all()).await;
    let mut found: Vec<wgpu::Adapter> = adapters.into_iter().filter(is_wanted).collect();
    let fastest = found.iter().map(rank).min();
    found.retain(|adapter| Some(rank(adapter)) == fastest);
    if found.is_empty() {
        return Err(Error::NoAdapter { wanted });
    }
    let number = number as usize % found.len();
    Ok(found.swap_remove(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_subgroups_are_of_cpus_unless_somebody_says_otherwise() {
        use wgpu::DeviceType::{Cpu, IntegratedGpu, Other};
        let info = |device_type, subgroup_max_size| wgpu::AdapterInfo {
            subgroup_max_size,
            ..wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
        };
        assert!(runs_on_cpu(&info(Cpu, 32), None) && runs_on_cpu(&info(Other, 4), None) && runs_on_cpu(&info(Other, 4), Some("google")));
        assert!(!runs_on_cpu(&info(IntegratedGpu, 8), None) && !runs_on_cpu(&info(Other, 8), Some("ARM")));
        assert!(!runs_on_cpu(&info(Other, 0), None) && !runs_on_cpu(&info(Other, 32), None));
    }

    #[test]
    fn what_version_of_mesa_it_is() {
        assert_eq!(mesa("Mesa 22.3.6 (LLVM 15.0.6)"), Some(22));
        assert_eq!(mesa("Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)"), Some(26));
        assert_eq!(["", "535.183.01", "Mesa devel"].map(mesa), [None; 3]);
    }
}
