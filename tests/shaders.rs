//! Every shader in every form that is ever compiled: valid within base WebGPU, and with the bindings that Rust declares.

use std::collections::{HashMap, HashSet};
use std::mem::offset_of;
use std::sync::OnceLock;

use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, GlobalVariable, Module, ScalarKind, StorageAccess, TypeInner};
use streambp::gpu::{BindingAccess, Dispatch, FusedDispatch, KernelSource, TunableOp, Tuning, Value, dispatch};
use streambp::model::{Config, Dtype, ModelSpec, PRESETS, Projection};
use streambp::step::ops::Operand;
use streambp::step::roll_out::RollOutShape;
use streambp::step::update::AdamWParams;
use streambp::step::{
    BatchShape, DpoLossType, DpoSettings, GrpoSettings, ImportanceSamplingLevel, Node, Objective, OpKind, Program, Split, Strategy,
};

use crate::support::model;

/// Base WebGPU's `max_storage_buffers_per_shader_stage`.
const MAX_STORAGE_BUFFERS: usize = 8;
/// Base WebGPU's `max_compute_invocations_per_workgroup`.
const MAX_INVOCATIONS: u32 = 256;
/// Base WebGPU's `max_compute_workgroup_storage_size`.
const MAX_WORKGROUP_BYTES: u32 = 16_384;
/// A GPU whose dispatches may bind more than base WebGPU's storage buffers.
const MANY_BUFFERS: Tuning = Tuning { max_storage_buffers: 11, ..Tuning::GPU };
/// Tokens of a chunk.
const CHUNK: u32 = 64;
/// Bytes of an operation's uniform slot.
const SLOT: u32 = 256;

/// A dispatch with its parsed and validated shader.
pub struct Checked {
    pub dispatch: Dispatch,
    pub module: Module,
    pub info: ModuleInfo,
}

/// All distinct shaders for models of these sizes on any class of adapter. All tests share them.
pub fn shaders() -> &'static [Checked] {
    static SHADERS: OnceLock<Vec<Checked>> = OnceLock::new();
    SHADERS.get_or_init(|| {
        let check = |dispatch| {
            let (module, info) = validated_code(&code(&dispatch));
            Checked { dispatch, module, info }
        };
        dispatches().into_iter().map(check).collect()
    })
}

const ROLL_OUT: RollOutShape = RollOutShape { prompt: 100, rows: 8, completion: 20 };

fn dispatches() -> Vec<Dispatch> {
    let tiny = &PRESETS[0].config;
    let head_dims = [2, 10, 32, 64, 128, 256].map(|head_dim| Config { head_dim, num_hidden_layers: 1, ..tiny.clone() });
    let adapted = [Dtype::F16, Dtype::Bf16, Dtype::Int8].map(|frozen| model::lora(tiny, &Projection::ALL, frozen));
    let specs = head_dims.into_iter().chain(model::families()).map(|config| ModelSpec::from(&config)).chain(adapted);
    let mut seen = HashSet::new();
    let mut dispatches = Vec::new();
    for spec in specs {
        let shape = BatchShape::uniform(2, 100);
        let strategies = [Strategy::STANDARD, Strategy::stream(CHUNK, CHUNK)];
        let programs = strategies.map(|strategy| Program::train(&spec, shape.clone(), strategy));
        let roll_out = Program::roll_out(spec.clone(), ROLL_OUT);
        for program in programs.iter().chain([&roll_out]).chain(&other_steps(&spec)) {
            let of_gpus = [1, 2, 3, u32::MAX].map(|busy_workgroups| Tuning { busy_workgroups, ..Tuning::GPU });
            for tuning in [Tuning::CPU, Tuning::CPU_SUBGROUP, Tuning::CPU_SUBGROUP_LONG, Tuning::SMALL_CPU].into_iter().chain(of_gpus) {
                let nodes = program.blocks.iter().flat_map(|block| &block.nodes);
                let found = nodes.filter_map(|node| dispatch(program, &node.op, &tuning, CHUNK));
                dispatches.extend(found.filter(|dispatch| seen.insert(dispatch.shader.clone())));
            }
        }
    }
    dispatches
}

/// Steps of the objectives that compare sequences, and of several batches on several ranks.
fn other_steps(spec: &ModelSpec) -> Vec<Program> {
    let of_pairs = DpoLossType::ALL.map(|loss_type| Objective::Dpo(DpoSettings { loss_type, ..DpoSettings::default() }));
    let of_samples = ImportanceSamplingLevel::ALL.into_iter().flat_map(|importance_sampling_level| {
        let cold = GrpoSettings { importance_sampling_level, temperature: 0.7, ..GrpoSettings::default() };
        let with_all = GrpoSettings {
            beta: 0.1,
            has_old_log_probs: true,
            use_bias_correction_kl: true,
            importance_sampling_level,
            ..GrpoSettings::default()
        };
        [Objective::Grpo(cold), Objective::Grpo(with_all)]
    });
    let program = |objective| Program::gradients_for(objective, spec, BatchShape::uniform(2, 100), Strategy::stream(CHUNK, CHUNK));
    let split = Split::new(0, vec![0, CHUNK, 200]).accumulating(2);
    let on_ranks = Program::gradients(spec.clone(), BatchShape::uniform(2, 100).on_ranks(split), Strategy::stream(CHUNK, CHUNK));
    of_pairs.into_iter().chain(of_samples).map(program).chain([on_ranks]).collect()
}

/// The source of an operation alone.
fn code(dispatch: &Dispatch) -> KernelSource {
    FusedDispatch::alone(dispatch).source
}

/// A module of WGSL, parsed and validated.
pub fn validated(text: &str) -> (Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{}", e.emit_to_string(text)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).unwrap();
    (module, info)
}

fn validated_code(code: &KernelSource) -> (Module, ModuleInfo) {
    let text = code.wgsl();
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{code:?}: {}", e.emit_to_string(&text)));
    // Base WebGPU includes unpacking of half precision, which naga counts as a capability. Browsers get no subgroups.
    let subgroups = if code.has_subgroups() { Capabilities::SUBGROUP | Capabilities::SHADER_INT64 } else { Capabilities::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32 | subgroups);
    validator
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::BALLOT | SubgroupOperationSet::SHUFFLE | SubgroupOperationSet::ARITHMETIC);
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{code:?}: {}", e.emit_to_string(&text)));
    (module, info)
}

#[test]
fn every_operation_has_a_shader_that_browsers_accept() {
    let kinds: HashSet<OpKind> = shaders().iter().map(|checked| checked.dispatch.shader.kind).collect();
    assert!(
        OpKind::ALL.iter().all(|kind| kinds.contains(kind) == kind.has_kernel()),
        "every operation has a shader but copies and messages"
    );
    for Checked { dispatch, module, .. } in shaders() {
        let [entry] = &module.entry_points[..] else { panic!("{:?} must have one entry point", dispatch.shader) };
        assert!(entry.workgroup_size.iter().product::<u32>() <= MAX_INVOCATIONS);
    }
}

#[test]
fn tuning_candidates_are_valid_everywhere() {
    let tiny = &PRESETS[0].config;
    let configs = [32, 256].map(|head_dim| Config { head_dim, num_hidden_layers: 1, ..tiny.clone() });
    let mut seen = HashSet::new();
    for config in configs {
        let program = Program::train(&config, BatchShape::uniform(1, 100), Strategy::CHECKPOINT);
        let classes =
            [(Tuning::GPU, None), (Tuning::GPU, Some(32)), (Tuning::CPU, None), (Tuning::CPU_SUBGROUP, Some(8)), (Tuning::SMALL_CPU, None)];
        for ((own, subgroup_size), tunable) in classes.into_iter().flat_map(|class| TunableOp::ALL.map(|tunable| (class, tunable))) {
            let candidates = own.candidates(tunable, subgroup_size);
            assert!(!candidates.is_empty() && !candidates.contains(&own), "{tunable:?}");
            let nodes = program.blocks.iter().flat_map(|block| &block.nodes).filter(|node| node.op.kind() == tunable.op());
            for dispatch in nodes.flat_map(|node| candidates.iter().filter_map(|tuning| dispatch(&program, &node.op, tuning, CHUNK))) {
                if seen.insert(dispatch.shader.clone()) {
                    check_sizes(&code(&dispatch), subgroup_size);
                }
            }
        }
    }
}

/// Checks that a workgroup is within the limits of base WebGPU, and a whole number of subgroups if the kernel uses them.
fn check_sizes(code: &KernelSource, subgroup_size: Option<u32>) -> Module {
    let module = validated_code(code).0;
    let [x, y, z] = module.entry_points[0].workgroup_size;
    assert!(x * y * z <= MAX_INVOCATIONS, "{code:?}");
    let shared = module.global_variables.iter().filter(|(_, global)| global.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx())).sum();
    assert!(bytes <= MAX_WORKGROUP_BYTES, "{code:?}");
    if code.has_subgroups() {
        assert!((x * y * z).is_multiple_of(subgroup_size.unwrap()), "{code:?}");
    }
    module
}

/// Fused operations are within the limits of base WebGPU.
#[test]
fn fused_operations_are_valid_everywhere() {
    let tiny = &PRESETS[0].config;
    let adapted = model::lora(tiny, &Projection::ALL, Dtype::Bf16);
    let specs = model::families().into_iter().chain([tiny.clone()]).map(|config| ModelSpec::from(&config)).chain([adapted]);
    let mut seen = HashSet::new();
    for program in specs.map(|spec| Program::train(&spec, BatchShape::uniform(2, 100), Strategy::stream(CHUNK, CHUNK))) {
        for (tuning, subgroup_size) in
            [(Tuning::GPU, None), (MANY_BUFFERS, None), (Tuning::CPU, None), (Tuning::CPU_SUBGROUP, Some(8)), (Tuning::SMALL_CPU, None)]
        {
            for block in &program.blocks {
                let lower =
                    |node: &Node| dispatch(&program, &node.op, &tuning, CHUNK).expect("every operation but a host copy has a dispatch");
                let dispatches: Vec<_> = block.nodes.iter().map(|node| (&node.op, lower(node))).collect();
                let all: Vec<_> = dispatches.iter().map(|(op, dispatch)| (*op, dispatch)).collect();
                let mut first = 0;
                while first < all.len() {
                    let fused = FusedDispatch::of(&all[first..], &tuning);
                    if seen.insert(fused.source.clone()) {
                        check_fused(&fused, subgroup_size, tuning.max_storage_buffers);
                    }
                    first += fused.len();
                }
            }
        }
    }
    let largest = seen.iter().map(KernelSource::len).max();
    assert!(largest >= Some(3), "queries, keys and values should be fused");
}

fn check_fused(fused: &FusedDispatch, subgroup_size: Option<u32>, max_storage_buffers: u32) {
    let module = check_sizes(&fused.source, subgroup_size);
    let bound = module.global_variables.iter().filter(|(_, global)| matches!(global.space, AddressSpace::Storage { .. }));
    let found: HashSet<u32> = bound.map(|(_, global)| global.binding.expect("a storage buffer is bound").binding).collect();
    assert_eq!(found, (2..2 + fused.bindings.len() as u32).collect(), "{:?}", fused.source);
    assert!(fused.bindings.len() <= max_storage_buffers as usize, "{:?}", fused.source);
}

#[test]
fn bindings_are_those_that_rust_binds() {
    for Checked { dispatch, module, .. } in shaders() {
        let mut found: Vec<(u32, String, BindingAccess)> = module
            .global_variables
            .iter()
            .filter_map(|(_, global)| match global.space {
                AddressSpace::Storage { access } => {
                    let writes = access.contains(StorageAccess::STORE);
                    let access = if writes { BindingAccess::ReadWrite } else { BindingAccess::Read };
                    Some((global.binding.expect("a storage buffer is bound").binding, global.name.clone().unwrap(), access))
                }
                _ => None,
            })
            .collect();
        found.sort_by_key(|(binding, ..)| *binding);
        let bound: Vec<_> = (2..).zip(&dispatch.bindings).map(|(i, &(name, access, _))| (i, format!("{name}_bound{i}"), access)).collect();
        assert_eq!(found, bound, "{:?}", dispatch.shader);
        assert!(bound.len() <= MAX_STORAGE_BUFFERS, "{:?}", dispatch.shader);
    }
}

/// The memory plan and dead-code elimination both depend on which operands an operation writes.
#[test]
fn shaders_write_what_the_operation_says() {
    let mut written: HashMap<OpKind, HashSet<String>> = HashMap::new();
    for Checked { dispatch, module, info } in shaders() {
        let writes = |&(handle, _): &(naga::Handle<GlobalVariable>, _)| info.get_entry_point(0)[handle].contains(GlobalUse::WRITE);
        let storage = module.global_variables.iter().filter(|(_, global)| matches!(global.space, AddressSpace::Storage { .. }));
        let names = storage.filter(writes).map(|(_, global)| global.name.as_ref().unwrap().rsplit_once("_bound").unwrap().0.to_owned());
        written.entry(dispatch.shader.kind).or_default().extend(names);
    }
    let mut declared: HashMap<OpKind, HashSet<String>> = HashMap::new();
    for config in model::families() {
        let program = Program::train(&config, BatchShape::uniform(2, 100), Strategy::stream(CHUNK, CHUNK));
        let roll_out = Program::roll_out(&config, ROLL_OUT);
        let programs = [program, roll_out].into_iter().chain(other_steps(&(&config).into()));
        let nodes = programs.flat_map(|program| program.blocks).flat_map(|block| block.nodes);
        for node in nodes.filter(|node| node.op.has_kernel()) {
            let written = node.op.operands().into_iter().filter(Operand::is_written).map(|operand| operand.name.to_owned());
            declared.insert(node.op.kind(), written.collect());
        }
    }
    assert!(OpKind::ALL.iter().all(|kind| declared.contains_key(kind) || !kind.has_kernel()));
    for (kind, declared) in declared {
        assert_eq!(written[&kind], declared, "{}", kind.stem());
    }
}

#[test]
fn uniforms_have_the_layout_that_rust_declares() {
    for Checked { dispatch, module, .. } in shaders() {
        let fields = struct_fields(module, "Params_of0");
        let declared: Vec<_> = (0..)
            .zip(&dispatch.params)
            .map(|(i, &(name, value))| {
                let kind = if matches!(value, Value::U32(_)) { ScalarKind::Uint } else { ScalarKind::Float };
                (name.to_owned(), 4 * i, kind)
            })
            .collect();
        assert_eq!(fields, declared, "{:?}", dispatch.shader);
        assert!(4 * fields.len() as u32 <= SLOT);
        let (members, span) = members(module, "Chunk");
        let of_chunk: Vec<(&str, u32)> = members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset)).collect();
        let fields = [
            ("start", 0),
            ("count", 4),
            ("tokens_before", 8),
            ("first_key", 12),
            ("end_key", 16),
            ("tiles_of_bit", 20),
            ("first_token", 24),
        ];
        assert_eq!((&of_chunk[..7], &of_chunk[7..], span), (&fields[..], &[("labelled", 32)][..], SLOT));
        let slot: Vec<u32> = self::members(module, "AllParams").0.iter().map(|member| member.offset).collect();
        assert_eq!(slot, [0, SLOT - 4]);
    }
}

#[test]
fn the_adamw_params_have_the_layout_that_rust_declares() {
    let adamw = shaders().iter().find(|checked| checked.dispatch.shader.kind == OpKind::AdamW).unwrap();
    let fields = struct_fields(&adamw.module, "AdamWParams");
    let offset = |field: usize, name: &str| (name.to_owned(), field as u32, ScalarKind::Float);
    let declared = [
        offset(offset_of!(AdamWParams, learning_rate), "learning_rate"),
        offset(offset_of!(AdamWParams, beta1), "beta1"),
        offset(offset_of!(AdamWParams, beta2), "beta2"),
        offset(offset_of!(AdamWParams, epsilon), "epsilon"),
        offset(offset_of!(AdamWParams, weight_decay), "weight_decay"),
        offset(offset_of!(AdamWParams, max_grad_norm), "max_grad_norm"),
        offset(offset_of!(AdamWParams, bias_correction1), "bias_correction1"),
        offset(offset_of!(AdamWParams, bias_correction2), "bias_correction2"),
    ];
    assert_eq!(fields, declared);
}

/// The fields of a struct, and its size in bytes.
fn members<'a>(module: &'a Module, name: &str) -> (&'a [naga::StructMember], u32) {
    let (_, found) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no struct {name}"));
    let TypeInner::Struct { members, span } = &found.inner else { panic!("{name} is not a struct") };
    (members, *span)
}

/// Name, offset and scalar kind of the fields of a struct.
fn struct_fields(module: &Module, name: &str) -> Vec<(String, u32, ScalarKind)> {
    let (members, _) = members(module, name);
    let field = |member: &naga::StructMember| {
        let TypeInner::Scalar(scalar) = module.types[member.ty].inner else { panic!("{name} must have only scalars") };
        (member.name.clone().unwrap(), member.offset, scalar.kind)
    };
    members.iter().map(field).collect()
}
