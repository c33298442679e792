//! Compiles shaders, each once for a device.

use super::device::Gpu;
use super::joint::Joint;
use super::launch::Access;

/// A compiled shader and the layout of its bindings.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
}

/// The pipeline of a dispatch. What decides about it is the operations and the model's sizes, never a chunk's length: so
/// every chunk of every strategy runs the same machine code.
pub(super) fn pipeline(gpu: &Gpu, joint: &Joint) -> Pipeline {
    let mut pipelines = gpu.pipelines.lock().expect("no holder panics");
    pipelines.entry(joint.code.key()).or_insert_with(|| compile(gpu, joint)).clone()
}

#[expect(unsafe_code, reason = "wgpu leaves its check of loops out in no other way")]
fn compile(gpu: &Gpu, joint: &Joint) -> Pipeline {
    let label = Some(joint.code.label());
    let descriptor = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(joint.code.wgsl().into()) };
    // Every loop of these shaders counts to a bound that does not change, and counting the turns of each a second time
    // costs more than the loops of some. Accesses stay checked where the platform can check them.
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: the only check that is off is the one for loops without an end, and there is none.
    let module = unsafe { gpu.device.create_shader_module_trusted(descriptor, checks) };
    let bindings = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries(joint) });
    let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&bindings)],
        ..Default::default()
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    Pipeline { pipeline, bindings }
}

/// Two uniforms whose offsets are given with each dispatch (the operations' and the chunk's), then the tensors.
fn entries(joint: &Joint) -> Vec<wgpu::BindGroupLayoutEntry> {
    let uniform = (wgpu::BufferBindingType::Uniform, true);
    let storage = |access: Access| (wgpu::BufferBindingType::Storage { read_only: access == Access::Read }, false);
    let tensors = joint.bindings.iter().map(|(_, access, _)| storage(*access));
    (0..)
        .zip([uniform, uniform].into_iter().chain(tensors))
        .map(|(binding, (ty, has_dynamic_offset))| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
            count: None,
        })
        .collect()
}
