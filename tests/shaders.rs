//! Every shader in every form that is ever compiled: valid with what a browser offers, and bound as Rust binds it.

use std::collections::{HashMap, HashSet};
use std::mem::offset_of;
use std::sync::OnceLock;

use naga::valid::{Capabilities, GlobalUse, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, GlobalVariable, Module, ScalarKind, StorageAccess, TypeInner};
use streambp::gpu::{Access, Code, Joint, Knob, Launch, Tuning, Value, launch};
use streambp::model::{Config, Layout, PRESETS, Precision, Projection};
use streambp::step::update::Settings;
use streambp::step::{BatchShape, OpKind, Program, Strategy};

use crate::support::model;

/// Base WebGPU's `max_storage_buffers_per_shader_stage`.
const MAX_STORAGE_BUFFERS: usize = 8;
/// Base WebGPU's `max_compute_invocations_per_workgroup`.
const MAX_INVOCATIONS: u32 = 256;
/// Base WebGPU's `max_compute_workgroup_storage_size`.
const MAX_WORKGROUP_BYTES: u32 = 16_384;
/// Bytes of the slot of an operation's uniform.
const SLOT: u32 = 256;

/// A launch with its shader, read and validated.
struct Checked {
    launch: Launch,
    module: Module,
    info: ModuleInfo,
}

/// Every shader that models of these sizes need on any class of adapter, each once. All tests look at the same ones.
fn shaders() -> &'static [Checked] {
    static SHADERS: OnceLock<Vec<Checked>> = OnceLock::new();
    SHADERS.get_or_init(|| {
        let check = |launch| {
            let (module, info) = validated_code(&code(&launch));
            Checked { launch, module, info }
        };
        launches().into_iter().map(check).collect()
    })
}

fn launches() -> Vec<Launch> {
    let tiny = &PRESETS[0].config;
    let head_dims = [2, 10, 32, 64, 128, 256].map(|head_dim| Config { head_dim, num_hidden_layers: 1, ..tiny.clone() });
    let adapted = [Precision::F16, Precision::Bf16, Precision::Int8].map(|frozen| model::lora(tiny, &Projection::ALL, frozen));
    let layouts = head_dims.into_iter().chain(model::families()).map(|config| Layout::from(&config)).chain(adapted);
    let mut seen = HashSet::new();
    let mut launches = Vec::new();
    for layout in layouts {
        let shape = BatchShape::uniform(2, 100);
        let strategies = [Strategy::STANDARD, Strategy::stream(64, 64)];
        let programs = strategies.map(|strategy| Program::train(&layout, shape.clone(), strategy));
        let decode = Program::decode(&layout, 100).0;
        for program in programs.iter().chain([&decode]) {
            for tuning in [Tuning::GPU, Tuning::CPU, Tuning::CPU_SUBGROUP, Tuning::CPU_SUBGROUP_LONG, Tuning::SMALL_CPU] {
                let nodes = program.blocks.iter().flat_map(|block| &block.nodes);
                launches.extend(nodes.map(|node| launch(program, &node.op, &tuning)).filter(|l| seen.insert(l.shader.clone())));
            }
        }
    }
    launches
}

/// The code of an operation by itself.
fn code(launch: &Launch) -> Code {
    Joint::alone(launch).code
}

fn validated_code(code: &Code) -> (Module, ModuleInfo) {
    let text = code.wgsl();
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{code:?}: {}", e.emit_to_string(&text)));
    // Base WebGPU unpacks halves, which naga counts as a capability. Browsers are not asked for subgroups.
    let subgroups = if code.has_subgroups() { Capabilities::SUBGROUP | Capabilities::SHADER_INT64 } else { Capabilities::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32 | subgroups);
    validator
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::BALLOT | SubgroupOperationSet::SHUFFLE | SubgroupOperationSet::ARITHMETIC);
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{code:?}: {}", e.emit_to_string(&text)));
    (module, info)
}

#[test]
fn every_operation_has_a_shader_that_browsers_take() {
    let kinds: HashSet<OpKind> = shaders().iter().map(|checked| checked.launch.shader.kind).collect();
    assert!(OpKind::ALL.iter().all(|kind| kinds.contains(kind) != (*kind == OpKind::Move)), "what is copied needs no shader");
    for Checked { launch, module, .. } in shaders() {
        let [entry] = &module.entry_points[..] else { panic!("{:?} has one entry point", launch.shader) };
        assert!(entry.workgroup_size.iter().product::<u32>() <= MAX_INVOCATIONS);
    }
}

#[test]
fn kernels_that_are_tried_are_valid_everywhere() {
    let tiny = &PRESETS[0].config;
    let configs = [32, 256].map(|head_dim| Config { head_dim, num_hidden_layers: 1, ..tiny.clone() });
    let mut seen = HashSet::new();
    for config in configs {
        let program = Program::train(&config, BatchShape::uniform(1, 100), Strategy::CHECKPOINT);
        let classes =
            [(Tuning::GPU, None), (Tuning::GPU, Some(32)), (Tuning::CPU, None), (Tuning::CPU_SUBGROUP, Some(8)), (Tuning::SMALL_CPU, None)];
        for ((own, lanes), knob) in classes.into_iter().flat_map(|class| Knob::ALL.map(|knob| (class, knob))) {
            let candidates = own.candidates(knob, lanes);
            assert!(!candidates.is_empty() && !candidates.contains(&own), "{knob:?}");
            let nodes = program.blocks.iter().flat_map(|block| &block.nodes).filter(|node| node.op.kind() == knob.op());
            for launch in nodes.flat_map(|node| candidates.iter().map(|tuning| launch(&program, &node.op, tuning))) {
                if seen.insert(launch.shader.clone()) {
                    check_sizes(&code(&launch), lanes);
                }
            }
        }
    }
}

/// A workgroup is no larger than base WebGPU allows, and a whole number of subgroups where threads of one rely on one another.
fn check_sizes(code: &Code, subgroup_lanes: Option<u32>) -> Module {
    let module = validated_code(code).0;
    let [x, y, z] = module.entry_points[0].workgroup_size;
    assert!(x * y * z <= MAX_INVOCATIONS, "{code:?}");
    let shared = module.global_variables.iter().filter(|(_, global)| global.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx())).sum();
    assert!(bytes <= MAX_WORKGROUP_BYTES, "{code:?}");
    if code.has_subgroups() {
        assert!((x * y * z).is_multiple_of(subgroup_lanes.unwrap()), "{code:?}");
    }
    module
}

/// What goes together is bound and sized as base WebGPU allows, and is as many dispatches fewer.
#[test]
fn operations_that_go_together_are_valid_everywhere() {
    let tiny = &PRESETS[0].config;
    let adapted = model::lora(tiny, &Projection::ALL, Precision::Bf16);
    let layouts = model::families().into_iter().chain([tiny.clone()]).map(|config| Layout::from(&config)).chain([adapted]);
    let mut seen = HashSet::new();
    for program in layouts.map(|layout| Program::train(&layout, BatchShape::uniform(2, 100), Strategy::stream(64, 64))) {
        for (tuning, lanes) in [(Tuning::GPU, None), (Tuning::CPU, None), (Tuning::CPU_SUBGROUP, Some(8)), (Tuning::SMALL_CPU, None)] {
            for block in &program.blocks {
                let launches: Vec<_> = block.nodes.iter().map(|node| (&node.op, launch(&program, &node.op, &tuning))).collect();
                let all: Vec<_> = launches.iter().map(|(op, launch)| (*op, launch)).collect();
                let mut first = 0;
                while first < all.len() {
                    let joint = Joint::of(&all[first..], &tuning, |_, _| false);
                    if seen.insert(joint.code.clone()) {
                        check_joint(&joint, lanes);
                    }
                    first += joint.len();
                }
            }
        }
    }
    let most = seen.iter().map(Code::len).max();
    assert!(most >= Some(3), "queries, keys and values go together");
}

fn check_joint(joint: &Joint, subgroup_lanes: Option<u32>) {
    let module = check_sizes(&joint.code, subgroup_lanes);
    let bound = module.global_variables.iter().filter(|(_, global)| matches!(global.space, AddressSpace::Storage { .. }));
    let places: HashSet<u32> = bound.map(|(_, global)| global.binding.expect("a storage buffer is bound").binding).collect();
    assert_eq!(places, (2..2 + joint.bindings.len() as u32).collect(), "{:?}", joint.code);
    assert!(joint.bindings.len() <= MAX_STORAGE_BUFFERS, "{:?}", joint.code);
}

#[test]
fn bindings_are_those_that_rust_binds() {
    for Checked { launch, module, .. } in shaders() {
        let mut found: Vec<(u32, String, Access)> = module
            .global_variables
            .iter()
            .filter_map(|(_, global)| match global.space {
                AddressSpace::Storage { access } => {
                    let writes = access.contains(StorageAccess::STORE);
                    let access = if writes { Access::ReadWrite } else { Access::Read };
                    Some((global.binding.expect("a storage buffer is bound").binding, global.name.clone().unwrap(), access))
                }
                _ => None,
            })
            .collect();
        found.sort_by_key(|(binding, ..)| *binding);
        let bound: Vec<_> = (2..).zip(&launch.bindings).map(|(i, &(name, access, _))| (i, format!("{name}_bound{i}"), access)).collect();
        assert_eq!(found, bound, "{:?}", launch.shader);
        assert!(bound.len() <= MAX_STORAGE_BUFFERS, "{:?}", launch.shader);
    }
}

/// The plan of memory and what may be left out both rest on which operands an operation writes.
#[test]
fn shaders_write_what_the_operation_says() {
    let mut written: HashMap<OpKind, HashSet<String>> = HashMap::new();
    for Checked { launch, module, info } in shaders() {
        let writes = |&(handle, _): &(naga::Handle<GlobalVariable>, _)| info.get_entry_point(0)[handle].contains(GlobalUse::WRITE);
        let storage = module.global_variables.iter().filter(|(_, global)| matches!(global.space, AddressSpace::Storage { .. }));
        let names = storage.filter(writes).map(|(_, global)| global.name.as_ref().unwrap().rsplit_once("_bound").unwrap().0.to_owned());
        written.entry(launch.shader.kind).or_default().extend(names);
    }
    for &kind in OpKind::ALL.iter().filter(|kind| **kind != OpKind::Move) {
        let said: HashSet<String> = kind.writes().iter().map(|&name| name.to_owned()).collect();
        assert_eq!(written[&kind], said, "{}", kind.stem());
    }
}

#[test]
fn uniforms_lie_as_rust_lays_them() {
    for Checked { launch, module, .. } in shaders() {
        let fields = struct_fields(module, "Params_of0");
        let laid: Vec<_> = (0..)
            .zip(&launch.params)
            .map(|(i, &(name, value))| {
                let kind = if matches!(value, Value::U32(_)) { ScalarKind::Uint } else { ScalarKind::Float };
                (name.to_owned(), 4 * i, kind)
            })
            .collect();
        assert_eq!(fields, laid, "{:?}", launch.shader);
        assert!(4 * fields.len() as u32 <= SLOT);
        assert_eq!(struct_fields(module, "Chunk").iter().map(|f| &f.0[..]).collect::<Vec<_>>(), ["start", "count"]);
    }
}

#[test]
fn the_settings_lie_as_rust_lays_them() {
    let adamw = shaders().iter().find(|checked| checked.launch.shader.kind == OpKind::AdamW).unwrap();
    let fields = struct_fields(&adamw.module, "Settings_of0");
    let offset = |field: usize, name: &str| (name.to_owned(), field as u32, ScalarKind::Float);
    let laid = [
        offset(offset_of!(Settings, learning_rate), "learning_rate"),
        offset(offset_of!(Settings, beta1), "beta1"),
        offset(offset_of!(Settings, beta2), "beta2"),
        offset(offset_of!(Settings, epsilon), "epsilon"),
        offset(offset_of!(Settings, weight_decay), "weight_decay"),
        offset(offset_of!(Settings, max_grad_norm), "max_grad_norm"),
        offset(offset_of!(Settings, bias_correction1), "bias_correction1"),
        offset(offset_of!(Settings, bias_correction2), "bias_correction2"),
    ];
    assert_eq!(fields, laid);
}

/// Name, offset and kind of the fields of a struct of scalars.
fn struct_fields(module: &Module, name: &str) -> Vec<(String, u32, ScalarKind)> {
    let (_, found) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no struct {name}"));
    let TypeInner::Struct { members, .. } = &found.inner else { panic!("{name} is no struct") };
    let field = |member: &naga::StructMember| {
        let TypeInner::Scalar(scalar) = module.types[member.ty].inner else { panic!("{name} has scalars only") };
        (member.name.clone().unwrap(), member.offset, scalar.kind)
    };
    members.iter().map(field).collect()
}
