//! The pipeline cache: compiles each shader once per device.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::dispatch::BindingAccess;
use super::fusion::{FusedDispatch, KernelSource};

/// A compiled pipeline and its bind group layout.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
}

/// The pipelines of a device. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Pipelines(Arc<Mutex<HashMap<KernelSource, Pipeline>>>);

impl Pipelines {
    /// The pipeline of a dispatch. It depends on the operations and the model's sizes, never on a chunk's length, so every chunk of every
    /// strategy runs the same machine code.
    pub fn get(&self, device: &wgpu::Device, dispatch: &FusedDispatch) -> Pipeline {
        let mut pipelines = self.0.lock().expect("no holder panics");
        pipelines.entry(dispatch.source.key()).or_insert_with(|| compile(device, dispatch)).clone()
    }

    /// Those of some dispatches that are not compiled yet, each kernel once.
    pub fn missing<'a>(&self, dispatches: impl Iterator<Item = &'a FusedDispatch>) -> Vec<&'a FusedDispatch> {
        let pipelines = self.0.lock().expect("no holder panics");
        let mut seen = HashSet::new();
        dispatches.filter(|dispatch| !pipelines.contains_key(&dispatch.source.key()) && seen.insert(dispatch.source.key())).collect()
    }
}

#[expect(unsafe_code, reason = "wgpu has no other way to disable its loop bounding")]
fn compile(device: &wgpu::Device, dispatch: &FusedDispatch) -> Pipeline {
    let label = Some(dispatch.source.label());
    let descriptor = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(dispatch.source.wgsl().into()) };
    // Every loop of these shaders counts to a constant bound. wgpu's loop bounding counts the iterations again, which costs more than the
    // body of some loops. Bounds checks stay on where the platform supports them.
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: the only check that is off is the one for infinite loops, and no shader has one.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries(dispatch) });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&bindings)],
        ..Default::default()
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&layout),
        module: &module,
        entry_point: Some("main"),
        // Every element is written before it is read.
        compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
        cache: None,
    });
    Pipeline { pipeline, bindings }
}

/// The bind group layout: two uniforms with dynamic offsets (the operations' parameters and the chunk), then the tensors.
fn entries(dispatch: &FusedDispatch) -> Vec<wgpu::BindGroupLayoutEntry> {
    let uniform = (wgpu::BufferBindingType::Uniform, true);
    let storage = |access: BindingAccess| (wgpu::BufferBindingType::Storage { read_only: access == BindingAccess::Read }, false);
    let tensors = dispatch.bindings.iter().map(|(_, access, _)| storage(*access));
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
