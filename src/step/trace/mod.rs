//! The memory of a step as a snapshot of PyTorch's allocator, which <https://pytorch.org/memory_viz> draws.
//!
//! The file has the format of `torch.cuda.memory._dump_snapshot`, with the fields that the page reads. A buffer of the plan is a segment,
//! and a tensor is a block in it. Instead of a stack trace it has the tensor's name and the operation that first touches it. Addresses are
//! made up, and one microsecond stands for one operation instance.

mod pickle;
mod schedule;

use pickle::{MemoIndex, Pickle};
use schedule::Schedule;

use super::memory_layout::{Allocation, ProgramPoint, reserved_piece};
use super::plan::Plan;
use super::program::{Node, Program};
use super::tensor::{Storage, TensorId};

/// The most events that the page can still show. Beyond that, chunks in the middle of a block are left out.
const MOST_EVENTS: u64 = 200_000;

/// The alignment of buffer addresses in bytes, as in PyTorch's segments.
const SEGMENT_ALIGNMENT: u64 = 2 << 20;

/// The page colours blocks by category and requires this one. The first category gets the colour of the summary of small blocks.
const NO_CATEGORY: &str = "unknown";

impl Plan {
    /// The live ranges of all tensors, as a file for <https://pytorch.org/memory_viz>.
    ///
    /// In a very long step, chunks in the middle of blocks are left out; `snapshot` events say where, and how many.
    pub fn memory_trace(&self) -> Vec<u8> {
        trace(self, MOST_EVENTS)
    }
}

fn trace(plan: &Plan, most_events: u64) -> Vec<u8> {
    let schedule = Schedule::new(plan);
    let kept_chunks = schedule.kept_chunks(plan, most_events);
    let mut writer = Writer::new(plan);
    writer.pickle.open_dict();
    writer.pickle.name("segments");
    writer.segments();
    writer.pickle.name("device_traces");
    writer.pickle.open_list();
    writer.events(&schedule, kept_chunks);
    writer.pickle.append();
    writer.pickle.close_dict();
    writer.pickle.finish()
}

/// An event of the allocator.
struct Event {
    action: &'static str,
    instance: u64,
    address: u64,
    bytes: u64,
    category: &'static str,
}

struct Writer<'a> {
    program: &'a Program,
    plan: &'a Plan,
    /// The address of each buffer.
    addresses: Vec<u64>,
    /// The first operation that touches each tensor.
    first_uses: Vec<Option<ProgramPoint>>,
    /// The memoized frames of each tensor's last allocation.
    frames: Vec<Option<MemoIndex>>,
    pickle: Pickle,
}

impl<'a> Writer<'a> {
    fn new(plan: &'a Plan) -> Self {
        let program = plan.program();
        let mut next = SEGMENT_ALIGNMENT;
        let place = |bytes: u64| {
            let address = next;
            next += bytes.next_multiple_of(SEGMENT_ALIGNMENT);
            address
        };
        let addresses = plan.buffers().iter().map(|buffer| buffer.bytes).map(place).collect();
        let mut first_uses = vec![None; program.tensors.len()];
        for &point in plan.points() {
            for operand in program.op(point.block, point.node).operands() {
                first_uses[operand.tensor.0 as usize].get_or_insert(point);
            }
        }
        Writer { program, plan, addresses, first_uses, frames: vec![None; program.tensors.len()], pickle: Pickle::new() }
    }

    /// The segments after the step: all buffers, with nothing alive in them.
    fn segments(&mut self) {
        self.pickle.open_list();
        for (index, buffer) in self.plan.buffers().iter().enumerate().filter(|(_, b)| b.bytes > 0) {
            self.pickle.open_dict();
            for (name, value) in [("device", 0), ("address", self.addresses[index]), ("total_size", buffer.bytes), ("stream", 0)] {
                self.pickle.name(name);
                self.pickle.int(value);
            }
            self.buffer_frames(index);
            self.pickle.name("blocks");
            self.pickle.open_list();
            self.pickle.open_dict();
            self.pickle.name("size");
            self.pickle.int(buffer.bytes);
            self.pickle.name("state");
            self.pickle.name("inactive");
            self.pickle.close_dict();
            self.pickle.append();
            self.pickle.close_dict();
            self.pickle.append();
        }
    }

    fn events(&mut self, schedule: &Schedule, kept_chunks: u32) {
        self.pickle.open_list();
        self.note(0, "start", &format!("one step over {} tokens by the strategy {}", self.program.tokens(), self.program.strategy.kind));
        self.allocate_buffers();
        for &id in &schedule.always {
            self.allocate(id, 0, None);
        }
        let mut instances = 0;
        for block in 0..self.program.blocks.len() {
            instances = self.block(schedule, block, instances, kept_chunks);
        }
        for &id in schedule.always.iter().rev() {
            self.free(id, instances);
        }
    }

    /// The events of a block whose first instance has the number `begin`. Returns the first number of the next block.
    fn block(&mut self, schedule: &Schedule, index: usize, begin: u64, kept_chunks: u32) -> u64 {
        let (block, share) = (&self.program.blocks[index], self.program.share());
        let rounds = block.rounds(share);
        let head = rounds.min(kept_chunks.div_ceil(2));
        let tail = (rounds - head).min(kept_chunks / 2);
        for round in (0..head).chain(rounds - tail..rounds) {
            let first = begin + block.instances_before(round, share);
            let left_out = rounds - head - tail;
            if round == rounds - tail && left_out > 0 && schedule.ranges_of_a_chunk(index) > 0 {
                self.note(first, block.title, &format!("{left_out} chunks are left out here: they come and go like those around them"));
            }
            for (instance, (chunk, node)) in (first..).zip(block.round(round, share)) {
                let changes = &schedule.blocks[index][node];
                for change in changes.born.iter().filter(|c| c.is_each || round == 0) {
                    self.allocate(change.tensor, instance, change.is_each.then_some(chunk.index));
                }
                for change in changes.dead.iter().filter(|c| c.is_each || round == rounds - 1) {
                    self.free(change.tensor, instance);
                }
            }
        }
        begin + block.instances_before(rounds, share)
    }

    fn allocate_buffers(&mut self) {
        let mut categories = vec![NO_CATEGORY; self.plan.buffers().len()];
        for (id, tensor) in self.program.tensors().filter(|(_, t)| !matches!(t.storage, Storage::Arena | Storage::Host)) {
            categories[self.plan.allocation(id).buffer] = tensor.kind.name();
        }
        for (index, buffer) in self.plan.buffers().iter().enumerate().filter(|(_, b)| b.bytes > 0) {
            let address = self.addresses[index];
            self.open_event(&Event { action: "segment_alloc", instance: 0, address, bytes: buffer.bytes, category: categories[index] });
            self.buffer_frames(index);
            self.close_event();
        }
    }

    fn allocate(&mut self, id: TensorId, instance: u64, chunk: Option<u32>) {
        for event in self.block_events("alloc", id, instance) {
            self.open_event(&event);
            self.pickle.name("frames");
            let memoized = self.tensor_frames(id, instance, chunk);
            self.frames[id.0 as usize] = Some(memoized);
            self.close_event();
        }
    }

    fn free(&mut self, id: TensorId, instance: u64) {
        for event in ["free_requested", "free_completed"].map(|action| self.block_events(action, id, instance)).into_iter().flatten() {
            self.open_event(&event);
            self.pickle.name("frames");
            self.pickle.get(self.frames[id.0 as usize].expect("what is freed was allocated"));
            self.close_event();
        }
    }

    /// An event for each piece of a tensor.
    fn block_events(&self, action: &'static str, id: TensorId, instance: u64) -> Vec<Event> {
        let tensor = self.program.tensor(id);
        let event = |(piece, allocation): (u32, &Allocation)| {
            let address = self.addresses[allocation.buffer] + allocation.offset;
            Event { action, instance, address, bytes: reserved_piece(tensor, piece), category: tensor.kind.name() }
        };
        (0..).zip(self.plan.pieces(id)).map(event).collect()
    }

    /// A note in the list of events.
    fn note(&mut self, instance: u64, filename: &'static str, text: &str) {
        self.open_event(&Event { action: "snapshot", instance, address: 0, bytes: 0, category: NO_CATEGORY });
        self.pickle.name("frames");
        self.pickle.open_list();
        self.frame(filename, instance, text);
        self.close_event();
    }

    /// The fields of an event except its frames.
    fn open_event(&mut self, event: &Event) {
        self.pickle.open_dict();
        for (name, value) in [("addr", event.address), ("size", event.bytes), ("stream", 0), ("time_us", event.instance)] {
            self.pickle.name(name);
            self.pickle.int(value);
        }
        for (name, value) in [("action", event.action), ("category", event.category)] {
            self.pickle.name(name);
            self.pickle.name(value);
        }
    }

    fn close_event(&mut self) {
        self.pickle.close_dict();
        self.pickle.append();
    }

    fn buffer_frames(&mut self, index: usize) {
        self.pickle.name("frames");
        self.pickle.open_list();
        self.frame("buffer", index as u64, &self.plan.buffers()[index].label);
    }

    /// The frames of a tensor: its name, and the first operation that touches it.
    fn tensor_frames(&mut self, id: TensorId, instance: u64, chunk: Option<u32>) -> MemoIndex {
        let tensor = self.program.tensor(id);
        let chunk = chunk.map_or(String::new(), |chunk| format!(", chunk {chunk}"));
        let text = format!("{}{chunk} ({})", tensor.name, tensor.kind.name().replace('_', " "));
        self.pickle.open_list();
        match self.first_uses[id.0 as usize] {
            None => self.frame("step", instance, &text),
            Some(first) => {
                let block = &self.program.blocks[first.block];
                let Node { op, layer, .. } = &block.nodes[first.node];
                let pass = if tensor.storage == Storage::Arena { block.pass.name() } else { "step" };
                self.frame(pass, instance, &text);
                let layer = layer.map_or(String::new(), |layer| format!(", layer {layer}"));
                self.frame(block.title, first.node as u64, &format!("first touched by {}{layer}", op.kind().stem()));
            }
        }
        self.pickle.memoize()
    }

    fn frame(&mut self, filename: &'static str, line: u64, name: &str) {
        self.pickle.open_dict();
        self.pickle.name("filename");
        self.pickle.name(filename);
        self.pickle.name("line");
        self.pickle.int(line);
        self.pickle.name("name");
        // The page takes functions whose name contains "_start" for those of the C library and hides them.
        self.pickle.text(&name.replace("_start", " start"));
        self.pickle.close_dict();
        self.pickle.append();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::model::{Config, PRESETS};
    use crate::step::{BatchShape, Limits, Strategy, StrategyKind};

    fn plan(program: Program, max_buffer_size: u64) -> Plan {
        Plan::new(program, Limits { buffer: max_buffer_size, binding: u64::MAX }).unwrap()
    }

    fn program(tokens: u32, kind: StrategyKind) -> Program {
        Program::train(&PRESETS[0].config, BatchShape::uniform(1, tokens), Strategy::new(kind, 128, 64))
    }

    /// Layers with a sliding window, whose keys are recomputed ahead in the backward pass, and layers without one.
    fn program_with_lookahead(tokens: u32) -> Program {
        let config = Config { sliding_window: 300, sliding_layers: vec![true, false, true], ..PRESETS[0].config.clone() };
        Program::train(&config, BatchShape::uniform(1, tokens), Strategy::stream(128, 64))
    }

    fn number(event: &Value, field: &str) -> u64 {
        event[field].as_u64().unwrap()
    }

    fn events(snapshot: &Value) -> &[Value] {
        snapshot["device_traces"][0].as_array().unwrap()
    }

    /// Replays the events as an allocator would, and returns the most bytes alive at once.
    fn replay(snapshot: &Value) -> u64 {
        let mut segments: BTreeMap<u64, u64> = BTreeMap::new();
        let mut blocks: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut alive, mut most, mut instance) = (0, 0, 0);
        for event in events(snapshot) {
            let (address, size) = (number(event, "addr"), number(event, "size"));
            assert!(number(event, "time_us") >= instance && !event["frames"].as_array().unwrap().is_empty());
            instance = number(event, "time_us");
            let is_apart = |others: &BTreeMap<u64, u64>| {
                let before = others.range(..=address).next_back().is_none_or(|(&a, &s)| a + s <= address);
                before && others.range(address..).next().is_none_or(|(&a, _)| address + size <= a)
            };
            match event["action"].as_str().unwrap() {
                "segment_alloc" => {
                    assert!(is_apart(&segments));
                    segments.insert(address, size);
                }
                "alloc" => {
                    let (start, bytes) = segments.range(..=address).next_back().unwrap();
                    assert!(address + size <= start + bytes && is_apart(&blocks), "{event}");
                    blocks.insert(address, size);
                    alive += size;
                    most = most.max(alive);
                }
                "free_requested" => assert_eq!(blocks.get(&address), Some(&size)),
                "free_completed" => {
                    assert_eq!(blocks.remove(&address), Some(size), "{event}");
                    alive -= size;
                }
                action => assert_eq!(action, "snapshot"),
            }
        }
        assert!(blocks.is_empty(), "all is freed in the end");
        let left = snapshot["segments"].as_array().unwrap().iter().map(|s| (number(s, "address"), number(s, "total_size")));
        assert_eq!(left.collect::<BTreeMap<u64, u64>>(), segments);
        most
    }

    #[test]
    fn the_most_bytes_alive_are_those_of_the_plan() {
        let between = Strategy::stream(128, 64).saving("attention,gate_up:2".parse().unwrap()).offloading(true);
        let [between, adaptive] = [between, Strategy::stream(64, 64).with_adaptive_chunks(true)]
            .map(|strategy| Program::train(&PRESETS[0].config, BatchShape::uniform(1, 700), strategy));
        for program in StrategyKind::ALL.map(|kind| program(700, kind)).into_iter().chain([between, adaptive, program_with_lookahead(700)])
        {
            let kind = program.strategy.kind;
            for limit in [u64::MAX, 8 << 20] {
                let plan = plan(program.clone(), limit);
                let snapshot = pickle::read(&plan.memory_trace());
                assert_eq!(replay(&snapshot), plan.alive_bytes(plan.peak()), "{kind}");
                let last = events(&snapshot).last().unwrap();
                assert_eq!(number(last, "time_us"), plan.program().instance_count(), "{kind}");
            }
        }
    }

    #[test]
    fn a_tensor_of_a_chunk_comes_once_for_each() {
        let program = program(700, StrategyKind::Stream);
        let plan = plan(program, u64::MAX);
        let snapshot = pickle::read(&plan.memory_trace());
        let logits = events(&snapshot).iter().filter(|e| e["action"] == "alloc" && e["category"] == "logits");
        let names: Vec<&str> = logits.map(|e| e["frames"][0]["name"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..11).rev().map(|chunk| format!("logits, chunk {chunk} (logits)")).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn of_a_long_step_the_middle_is_left_out() {
        for program in [program(100_000_000, StrategyKind::Stream), program_with_lookahead(100_000_000)] {
            let plan = plan(program, u64::MAX);
            let most = 5000;
            let snapshot = pickle::read(&trace(&plan, most));
            let notes = events(&snapshot).iter().filter(|e| e["action"] == "snapshot").count();
            assert!(events(&snapshot).len() - notes <= most as usize && notes > 1);
            assert_eq!(replay(&snapshot), plan.alive_bytes(plan.peak()));
            assert_eq!(number(events(&snapshot).last().unwrap(), "time_us"), plan.program().instance_count());
        }
    }

    #[test]
    fn the_page_hides_no_frame() {
        let program = program(300, StrategyKind::Checkpoint);
        let plan = plan(program, u64::MAX);
        let snapshot = pickle::read(&plan.memory_trace());
        let frames = events(&snapshot).iter().flat_map(|event| event["frames"].as_array().unwrap());
        assert!(frames.into_iter().all(|frame| !frame["name"].as_str().unwrap().contains("_start")));
    }
}
