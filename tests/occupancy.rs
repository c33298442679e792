//! What the kernels for GPUs ask of one, from launch data and naga's representation: dispatches of a step, subgroups that run at a time, and
//! products for each load of workgroup memory. Nothing runs for it.

use std::collections::BTreeMap;

use naga::{Block, Expression, Function, MathFunction, Module, Statement, TypeInner};
use streambp::gpu::{Dispatch, FusedDispatch, Part, Tuning, dispatch};
use streambp::model::PRESETS;
use streambp::step::{Block as StepBlock, Chunk, Node, OpKind, Program, Strategy};

use crate::shaders::{Checked, shaders};

/// Tokens of the steps.
const TOKENS: u32 = 4096;
/// Dispatches of a step of `medium` in chunks of 512 tokens when only operations of one kind shared them.
const DISPATCHES_BEFORE: u64 = 2603;

fn medium(chunk: u32) -> Program {
    let medium = &PRESETS.iter().find(|preset| preset.name == "medium").unwrap().config;
    Program::train(medium, streambp::step::BatchShape::uniform(1, TOKENS), Strategy::stream(chunk, chunk))
}

/// A dispatch of a block, with its operations.
struct Fused<'a> {
    dispatch: FusedDispatch,
    alone: Vec<Dispatch>,
    nodes: &'a [Node],
}

fn dispatches<'a>(program: &Program, block: &'a StepBlock, tuning: &Tuning) -> Vec<Fused<'a>> {
    let mut all = Vec::new();
    for mut run in block.runs() {
        while !run.is_empty() {
            let nodes = &block.nodes[run.clone()];
            let lower = |node: &Node| dispatch(program, &node.op, tuning, block.chunk_order.chunk_len(TOKENS)).unwrap();
            let mut alone: Vec<Dispatch> = nodes.iter().map(lower).collect();
            let neighbours: Vec<_> = nodes.iter().map(|node| &node.op).zip(&alone).collect();
            let dispatch = FusedDispatch::of(&neighbours, tuning);
            run.start += dispatch.len();
            alone.truncate(dispatch.len());
            all.push(Fused { nodes: &nodes[..dispatch.len()], dispatch, alone });
        }
    }
    all
}

#[test]
fn a_step_has_few_dispatches() {
    let program = medium(512);
    let count = |max_storage_buffers: u32| -> u64 {
        let tuning = Tuning { max_storage_buffers, ..Tuning::GPU };
        let of_block =
            |block: &StepBlock| dispatches(&program, block, &tuning).len() as u64 * u64::from(block.chunk_order.chunk_count(TOKENS));
        program.blocks.iter().map(of_block).sum()
    };
    let counts = [8, 10, 11].map(|most| (most, count(most)));
    eprintln!("dispatches of a step with so many storage buffers: {counts:?}; before {DISPATCHES_BEFORE}");
    assert!(counts[0].1 * 100 <= DISPATCHES_BEFORE * 80, "{counts:?}");
    // Browsers have ten on most adapters.
    assert!(counts[1].1 * 100 <= DISPATCHES_BEFORE * 75, "{counts:?}");
}

/// GPUs: their schedulers, each of which needs several subgroups to be busy, and the threads of a subgroup.
const GPUS: [(&str, u64, u64); 3] = [("Apple M1", 32, 32), ("Intel Iris Xe", 96, 8), ("NVIDIA RTX 4060", 96, 32)];
/// Subgroups for each scheduler, at least.
const SUBGROUPS: f64 = 2.0;

/// Each has two subgroups to run, so that one computes while the other waits for memory. Not so in short chunks on the largest of them the
/// projections from and to the hidden state alone: a chunk of 128 tokens has 40,960 sums of them, and a thread at least 16.
#[test]
fn dispatches_keep_schedulers_busy() {
    for chunk_len in [512, 128] {
        let program = medium(chunk_len);
        let block = program.blocks.iter().rfind(|block| block.title == "backward").unwrap();
        // Half of the tokens come before it.
        let chunk = Chunk { index: 0, start: TOKENS / 2, count: chunk_len };
        let flops = |fused: &Fused| fused.nodes.iter().map(|node| program.flops(&node.op, chunk)).sum::<u64>();
        let all = dispatches(&program, block, &Tuning::GPU);
        let of_block: u64 = all.iter().map(flops).sum();
        for fused in all.iter().filter(|fused| flops(fused) * 100 > of_block) {
            let size = fused.alone[0].shader.constants.iter().find(|(name, _)| *name == "WORKGROUP_SIZE").map_or(64, |&(_, size)| size);
            let workgroups: u64 = fused.dispatch.groups().iter().map(|group| group.workgroups(&Part::whole(chunk))).sum();
            let subgroups = |lanes| workgroups * u64::from(size) / lanes;
            let busy = GPUS.map(|(name, schedulers, lanes)| (name, subgroups(lanes) as f64 / schedulers as f64));
            let stems: Vec<&str> = fused.nodes.iter().map(|node| node.op.kind().stem()).collect();
            let share = flops(fused) as f64 / of_block as f64;
            eprintln!("chunks of {chunk_len}, {:4.1}%: {stems:?}, {workgroups} of {size} threads, {busy:.1?}", share * 100.0);
            let is_small = chunk_len < 512 && share < 0.025;
            assert!(busy[..2].iter().all(|gpu| gpu.1 >= SUBGROUPS) && (is_small || busy[2].1 >= SUBGROUPS), "{stems:?}");
        }
    }
}

/// Products of a thread for each 16 bytes that it loads from workgroup memory.
#[test]
fn tiles_are_multiplied_from_registers() {
    let mut found: BTreeMap<(&str, u32), f64> = BTreeMap::new();
    for Checked { dispatch, module, .. } in shaders() {
        let constant = |name: &str| dispatch.shader.constants.iter().find(|(known, _)| *known == name).map(|&(_, value)| value);
        let is_product = matches!(dispatch.shader.kind, OpKind::Linear | OpKind::LinearGrad | OpKind::LinearWeightGrad);
        if let (true, Some(rows), Some(cols)) = (is_product, constant("ROW_VEC4S"), constant("COL_VEC4S")) {
            let main = module.functions.iter().map(|(_, function)| function).find(|function| function.name.as_deref() == Some("main_of0"));
            let (products, loads) = products_and_loads(module, main.unwrap());
            found.insert((dispatch.shader.kind.stem(), 16 * rows * cols), 4.0 * products as f64 / loads as f64);
        }
    }
    eprintln!("products for a load of 16 bytes, by sums of a thread: {found:?}");
    for ((stem, sums), products) in &found {
        let least = match sums {
            64.. => 16.0,
            32.. => 10.0,
            _ => 8.0,
        };
        assert!(*products >= least, "{stem}, {sums} sums: {products}");
    }
    assert!(["linear", "linear_grad"].iter().all(|stem| found.contains_key(&(*stem, 64)) && found.contains_key(&(*stem, 16))), "{found:?}");
}

/// Multiply-adds of vec4s in a function, and vec4s that it loads from workgroup memory.
fn products_and_loads(module: &Module, function: &Function) -> (usize, usize) {
    let mut counts = (0, 0);
    each_expression(function, &function.body, &mut |expression| match *expression {
        Expression::Math { fun: MathFunction::Fma, .. } => counts.0 += 1,
        Expression::Load { pointer } if is_in_workgroup_memory(module, function, pointer) => counts.1 += 1,
        _ => {}
    });
    counts
}

fn each_expression(function: &Function, block: &Block, visit: &mut impl FnMut(&Expression)) {
    for statement in block {
        match statement {
            Statement::Emit(range) => range.clone().for_each(|expression| visit(&function.expressions[expression])),
            Statement::Block(inner) => each_expression(function, inner, visit),
            Statement::If { accept, reject, .. } => [accept, reject].into_iter().for_each(|inner| each_expression(function, inner, visit)),
            Statement::Loop { body, continuing, .. } => {
                [body, continuing].into_iter().for_each(|inner| each_expression(function, inner, visit));
            }
            _ => {}
        }
    }
}

fn is_in_workgroup_memory(module: &Module, function: &Function, pointer: naga::Handle<Expression>) -> bool {
    match function.expressions[pointer] {
        Expression::GlobalVariable(global) => {
            let global = &module.global_variables[global];
            global.space == naga::AddressSpace::WorkGroup && matches!(module.types[global.ty].inner, TypeInner::Array { .. })
        }
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => is_in_workgroup_memory(module, function, base),
        _ => false,
    }
}
