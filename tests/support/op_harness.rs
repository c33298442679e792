//! A test harness for operations: a program of a few operations on random operands, run in f64 and on the device.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use half::bf16;
use streambp::gpu::{self, Shader, Tuning};
use streambp::model::{Axis, Config, Dtype};
use streambp::reference;
use streambp::step::{
    BatchShape, Builder, ChunkOrder, Element, NormGroups, Objective, Op, Pass, Program, RowSlice, Rows, Storage, Strategy, TensorId,
    TensorKind,
};

use super::{Random, compare, device, level};

/// The shape of a batch, and of the tensors and chunks of an operation.
#[derive(Clone, Debug)]
pub struct Shape {
    /// T of each sequence, in tokens.
    pub lengths: Vec<u32>,
    /// C: the chunk length in tokens.
    pub chunk: u32,
    /// The rows of tensors: of the batch, of a ring or of the chunk.
    pub rows: Rows,
}

impl Shape {
    /// One chunk in tensors that hold the whole batch.
    pub fn whole(lengths: &[u32]) -> Shape {
        Shape { lengths: lengths.to_vec(), chunk: lengths.iter().sum(), rows: Rows::Tokens }
    }
}

/// Batches of few and many tokens, with sequence boundaries at and within tiles, in one chunk and in several with a ragged last one.
pub fn shapes() -> Vec<Shape> {
    let batches: [&[u32]; 9] = [&[1], &[5], &[63], &[64], &[65], &[129], &[200], &[40, 50, 39], &[1, 1, 62, 1, 70, 65]];
    let mut shapes = Vec::new();
    for lengths in batches {
        let tokens: u32 = lengths.iter().sum();
        for chunk in [64, 128].into_iter().filter(|&chunk| chunk < tokens).chain([tokens]) {
            let ring = (2 * chunk < tokens).then_some(Rows::Ring(2 * chunk));
            for rows in [Rows::Tokens, Rows::Chunk].into_iter().chain(ring) {
                shapes.push(Shape { lengths: lengths.to_vec(), chunk, rows });
            }
        }
    }
    shapes
}

/// A subset of [`shapes`], for operations whose other sizes matter more.
pub fn few_shapes() -> Vec<Shape> {
    shapes().into_iter().filter(|shape| matches!(shape.lengths[..], [1 | 65 | 200])).collect()
}

/// Shapes, each with the axes of a weight matrix: rows and columns.
pub fn matrix_shapes() -> Vec<(Shape, Axis, Axis)> {
    let flat = |(rows, cols): (u32, u32)| (Axis::flat(rows), Axis::flat(cols));
    let headed = [(Axis::heads(3, 6), Axis::flat(5)), (Axis::flat(5), Axis::heads(3, 10))];
    let sizes: Vec<_> = [(1, 1), (5, 130), (130, 5), (257, 3), (3, 257)].map(flat).into_iter().chain(headed).collect();
    let of_sizes =
        few_shapes().into_iter().flat_map(|shape| sizes.clone().into_iter().map(move |(rows, cols)| (shape.clone(), rows, cols)));
    let (rows, cols) = flat((18, 37));
    shapes().into_iter().map(|shape| (shape, rows, cols)).chain(of_sizes).collect()
}

/// The width of a row.
#[derive(Clone, Copy, Debug)]
pub enum Width {
    /// An axis, padded as on the device.
    Padded(Axis),
    /// Exactly that many elements.
    Exact(u32),
}

impl From<Axis> for Width {
    fn from(axis: Axis) -> Width {
        Width::Padded(axis)
    }
}

/// All rows of a matrix.
pub fn whole(rows: Axis) -> RowSlice {
    RowSlice { row: 0, col: 0, rows: rows.padded() }
}

/// One group per row: a norm of whole rows.
pub fn one_group(size: u32) -> NormGroups {
    NormGroups { count: 1, size }
}

/// The tolerance of a result.
#[derive(Clone, Copy, Debug)]
pub enum Tolerance {
    /// No error.
    Exact,
    /// Each element is a sum of that many products of operands. The error of a sum of n terms in f32 is about √n roundings of the sum of
    /// the terms' magnitudes, which is the result of the operation on the magnitudes of its operands.
    Terms(u32),
    /// The relative error of the whole tensor by its norm; an element may be off by eight times as much, relative to the largest element.
    Norm(f64),
}

impl Tolerance {
    /// Twice the tolerance of a norm; the others follow from the numbers themselves.
    fn doubled(self) -> Tolerance {
        if let Tolerance::Norm(tolerance) = self { Tolerance::Norm(2.0 * tolerance) } else { self }
    }
}

/// The largest relative rounding error of f32: half the distance from 1 to the next number.
const ROUNDING: f64 = 1.0 / 16_777_216.0;

/// A program under construction, with the values of its operands.
pub struct OpHarness {
    builder: Builder,
    shape: Shape,
    random: Random,
    operands: BTreeMap<TensorId, Operand>,
    indices: Vec<(TensorId, Vec<u32>)>,
}

#[derive(Clone)]
struct Operand {
    /// The values, in the device's layout.
    values: Vec<f32>,
    /// Is the element padding?
    padding: Vec<bool>,
}

impl OpHarness {
    /// A program without operations, and with only the operands that every program has.
    pub fn new(config: &Config, shape: &Shape) -> OpHarness {
        let mut builder = Builder::new(config, BatchShape::packed(shape.lengths.clone()), Strategy::STANDARD);
        // The ragged chunk is the last, so that writes past its end would remain visible.
        builder.block(Pass::Forward, "operations", ChunkOrder::Ascending(shape.chunk), |_| ());
        let program = &builder.program;
        let indices = vec![(program.bindings.segment_start, program.batch.segment_starts())];
        OpHarness { builder, shape: shape.clone(), random: Random::new(1), operands: BTreeMap::new(), indices }
    }

    /// A program without operations on tokens that are not those of a batch, in chunks of that order.
    pub fn apart(config: &Config, order: ChunkOrder) -> OpHarness {
        let mut harness = OpHarness::new(config, &Shape::whole(&[1]));
        harness.builder.program.blocks[0].chunk_order = order;
        harness
    }

    /// Adds the tensors of an objective.
    pub fn minimise(&mut self, objective: Objective) {
        self.builder.minimise(objective);
    }

    /// The program so far.
    pub fn program(&self) -> &Program {
        &self.builder.program
    }

    /// N: tokens of the batch.
    pub fn tokens(&self) -> u32 {
        self.program().tokens()
    }

    /// A random operand with a row per token, of the batch or of the chunk.
    pub fn input(&mut self, name: &str, cols: impl Into<Width>) -> TensorId {
        self.operand(name, self.shape.rows, None, cols.into())
    }

    /// A random operand with a row per token of the batch, or, in shapes with rings, as many rows as the window needs.
    pub fn seen_input(&mut self, name: &str, cols: impl Into<Width>, window: Option<u32>) -> TensorId {
        let window = window.filter(|_| matches!(self.shape.rows, Rows::Ring(_)));
        let ring = window.and_then(|window| Strategy::stream(self.shape.chunk, 1).ring(self.tokens(), window));
        self.operand(name, ring.map_or(Rows::Tokens, Rows::Ring), None, cols.into())
    }

    /// A random operand with so many rows, in which a token has the row of its number, or behind the last of them again the first.
    pub fn ring(&mut self, name: &str, rows: u32, cols: impl Into<Width>) -> TensorId {
        self.operand(name, Rows::Ring(rows), None, cols.into())
    }

    /// Words that every token may read.
    pub fn words(&mut self, name: &str, words: Vec<u32>) -> TensorId {
        let id = self.builder.tensor(name, TensorKind::Scratch, Rows::Fixed(1), words.len() as u32);
        let tensor = &mut self.builder.program.tensors[id.0 as usize];
        (tensor.storage, tensor.element) = (Storage::Own, Element::U32);
        self.indices(id, words);
        id
    }

    /// A random matrix.
    pub fn matrix(&mut self, name: &str, rows: Axis, cols: impl Into<Width>) -> TensorId {
        self.operand(name, Rows::Fixed(rows.padded()), Some(rows), cols.into())
    }

    /// A random matrix of a dtype, whose values the dtype represents exactly.
    pub fn stored(&mut self, name: &str, rows: Axis, cols: Axis, dtype: Dtype) -> TensorId {
        let id = self.matrix(name, rows, cols);
        let tensor = &mut self.builder.program.tensors[id.0 as usize];
        tensor.element = Element::Float(dtype);
        let cols = tensor.cols;
        let values = self.values(id);
        let stored = dtype.decode(&dtype.encode(values, cols), cols);
        values.copy_from_slice(&stored);
        id
    }

    /// A matrix of zeros, to accumulate into.
    pub fn zeros(&mut self, name: &str, rows: Axis, cols: impl Into<Width>) -> TensorId {
        let id = self.matrix(name, rows, cols);
        self.values(id).fill(0.0);
        id
    }

    /// One row of random numbers.
    pub fn row(&mut self, name: &str, cols: impl Into<Width>) -> TensorId {
        self.operand(name, Rows::Fixed(1), None, cols.into())
    }

    /// An output with a row per token, of the batch or of the chunk: initially all NaN, padding too.
    pub fn output(&mut self, name: &str, cols: impl Into<Width>) -> TensorId {
        let id = self.input(name, cols);
        self.values(id).fill(f32::NAN);
        id
    }

    /// The same of a dtype.
    pub fn stored_output(&mut self, name: &str, cols: impl Into<Width>, dtype: Dtype) -> TensorId {
        let id = self.output(name, cols);
        self.builder.program.tensors[id.0 as usize].element = Element::Float(dtype);
        id
    }

    fn operand(&mut self, name: &str, rows: Rows, matrix_rows: Option<Axis>, cols: Width) -> TensorId {
        let width = match cols {
            Width::Padded(axis) => axis.padded(),
            Width::Exact(width) => width,
        };
        let id = self.builder.tensor(name, TensorKind::Scratch, rows, width);
        let tensor = &mut self.builder.program.tensors[id.0 as usize];
        // Operands exist before and after the operations.
        tensor.storage = Storage::Own;
        if rows == Rows::Chunk {
            tensor.row_count = self.shape.chunk;
        }
        let is_past_end = |axis: Axis, i: u32| i % axis.len.next_multiple_of(4) >= axis.len;
        let is_padding = |i: u32| {
            let is_padded_col = matches!(cols, Width::Padded(axis) if is_past_end(axis, i % width));
            is_padded_col || matrix_rows.is_some_and(|axis| is_past_end(axis, i / width))
        };
        let padding: Vec<bool> = (0..tensor.elements() as u32).map(is_padding).collect();
        let values = padding.iter().map(|&is_padding| if is_padding { 0.0 } else { self.random.real() }).collect();
        self.operands.insert(id, Operand { values, padding });
        id
    }

    /// Turns a float tensor of every program into an operand, initially zero.
    pub fn adopt(&mut self, id: TensorId) -> &mut [f32] {
        let tensor = self.builder.program.tensor(id);
        assert_eq!(tensor.element, Element::F32, "{}", tensor.name);
        let len = tensor.elements() as usize;
        self.operands.insert(id, Operand { values: vec![0.0; len], padding: vec![false; len] });
        self.values(id)
    }

    /// Sets a tensor of indices that every program has.
    pub fn indices(&mut self, id: TensorId, indices: Vec<u32>) {
        assert_eq!(self.builder.program.tensor(id).elements(), indices.len() as u64);
        self.indices.push((id, indices));
    }

    /// The initial values of an operand, in the device's layout.
    pub fn values(&mut self, id: TensorId) -> &mut [f32] {
        &mut self.operands.get_mut(&id).expect("the tensor is an operand of this harness").values
    }

    /// Makes every number positive that operands have so far, so that no sum of products has terms of both signs.
    pub fn make_positive(&mut self) {
        self.operands.values_mut().flat_map(|operand| &mut operand.values).for_each(|value| *value = value.abs());
    }

    /// Appends an operation.
    pub fn op(&mut self, op: impl Into<Op>) {
        self.builder.push(op);
    }

    /// Runs the operations in f64 and on the device, with the tunings of all classes of adapter, and compares the outputs.
    pub fn check(self, outputs: &[(TensorId, Tolerance)]) {
        let ready = self.ready();
        ready.check(&ready.classes(), outputs);
    }

    /// The same with one tuning.
    pub fn check_with(self, tuning: Tuning, outputs: &[(TensorId, Tolerance)]) {
        self.ready().check(&[tuning], outputs);
    }

    /// Runs the operations on the device and reads a tensor.
    pub fn on_device(self, id: TensorId) -> Vec<f32> {
        self.on_device_with(device::own_tuning(), id)
    }

    /// The same with another tuning.
    pub fn on_device_with(self, tuning: Tuning, id: TensorId) -> Vec<f32> {
        device::read(&self.ready().run_on_device(tuning), id)
    }

    /// Checks gradients in f64 against finite differences of `Σ weights · out`. `gradients` are pairs of an operand and its gradient.
    pub fn gradcheck(self, out: TensorId, weights: &[f32], gradients: &[(TensorId, TensorId)]) {
        let ready = self.ready();
        for &pair in gradients {
            ready.gradcheck(out, weights, pair);
        }
    }

    fn ready(self) -> Ready {
        Ready { program: self.builder.finish(), shape: self.shape, operands: self.operands, indices: self.indices }
    }
}

/// A program with the values of its operands.
#[derive(Clone)]
struct Ready {
    program: Program,
    shape: Shape,
    operands: BTreeMap<TensorId, Operand>,
    indices: Vec<(TensorId, Vec<u32>)>,
}

impl Ready {
    /// Checks the operations, and the same with activations in bf16, as far as their kernels take them: by default with one of the tunings,
    /// which alternate by width.
    fn check(&self, tunings: &[Tuning], outputs: &[(TensorId, Tolerance)]) {
        self.check_as_it_is(tunings, outputs);
        if let Some(ready) = self.in_bf16() {
            // The bounds of norms were measured with other numbers: what is rounded to 8 bits may be twice as far off in f32.
            let outputs: Vec<(TensorId, Tolerance)> = outputs.iter().map(|&(id, tolerance)| (id, tolerance.doubled())).collect();
            ready.check_as_it_is(&level::share(tunings.iter().copied(), tunings.len(), self.number()), &outputs);
        }
    }

    /// The same with activations in bf16: what one operation writes for another stays as it is, so that each is checked on its own.
    fn in_bf16(&self) -> Option<Ready> {
        let mut ready = self.clone();
        let ops = || self.program.blocks.iter().flat_map(|block| &block.nodes).map(|node| &node.op);
        let takes = |op: &Op, operand: &str| match (op, operand) {
            (Op::DecodeAttention(_), "prompt_k" | "prompt_v" | "k" | "v") => true,
            _ => Shader::new(op.kind(), Vec::new()).takes_activations(operand),
        };
        let is_free = |id: TensorId| ops().filter(|op| op.touches(id)).count() == 1 || ops().all(|op| op.written().all(|out| out != id));
        let of =
            |op: &Op| op.operands().into_iter().filter(|operand| takes(op, operand.name)).map(|operand| operand.tensor).collect::<Vec<_>>();
        let is_taken = |id: TensorId| ops().filter(|op| op.touches(id)).all(|op| of(op).contains(&id));
        let ids: BTreeSet<TensorId> =
            ops().flat_map(of).filter(|&id| is_free(id) && is_taken(id) && self.operands.contains_key(&id)).collect();
        for &id in &ids {
            ready.program.tensors[id.0 as usize].element = Element::Float(Dtype::Bf16);
            let values = &mut ready.operands.get_mut(&id).expect("it is an operand").values;
            values.iter_mut().for_each(|value| *value = bf16::from_f32(*value).to_f32());
        }
        // The results of a token alone are too few for a norm: a sum that happens to cancel would be all of it.
        (!ids.is_empty() && self.program.tokens() > 1).then_some(ready)
    }

    fn check_as_it_is(&self, tunings: &[Tuning], outputs: &[(TensorId, Tolerance)]) {
        let expected = self.run_reference(|_, _, value| f64::from(value));
        let are_bounded_by_terms = outputs.iter().any(|(_, tolerance)| matches!(tolerance, Tolerance::Terms(_)));
        let magnitudes = are_bounded_by_terms.then(|| self.run_reference(|_, _, value| f64::from(value.abs())));
        for &tuning in tunings {
            let executor = self.run_on_device(tuning);
            for &(id, tolerance) in outputs {
                let actual = device::read_f64(&executor, id);
                let tensor = self.program.tensor(id);
                let what = format!("{} in {:?} at {:?} with {tuning:?}", tensor.name, tensor.element, self.shape);
                let is_rounded = tensor.element == Element::Float(Dtype::Bf16);
                let magnitudes = magnitudes.as_ref().map_or(&[][..], |run| run.read(id));
                check_values(&what, &actual, expected.read(id), magnitudes, tolerance, is_rounded);
                let is_clean = |(value, is_padding): (&f64, &bool)| !is_padding || *value == 0.0;
                assert!(actual.iter().zip(&self.operands[&id].padding).all(is_clean), "{what}: padding is not zero");
            }
        }
    }

    /// The tuning of the device, and those of other classes of adapter. A kernel depends on the widths of rows, not on the batch, so by
    /// default the other classes alternate by width.
    fn classes(&self) -> Vec<Tuning> {
        let [own, others @ ..] = &device::tunings()[..] else { panic!("the device has a tuning") };
        [*own].into_iter().chain(level::share(others.iter().copied(), 2, self.number())).collect()
    }

    /// A number that widths of rows alone decide.
    fn number(&self) -> usize {
        let mut hasher = DefaultHasher::new();
        self.program.tensors.iter().for_each(|tensor| tensor.cols.hash(&mut hasher));
        hasher.finish() as usize
    }

    /// Runs the operations in f64. `value` maps each element of an operand.
    fn run_reference(&self, value: impl Fn(TensorId, usize, f32) -> f64) -> reference::Executor {
        let mut executor = reference::Executor::new(&self.program);
        for (&id, operand) in &self.operands {
            let values: Vec<f64> = operand.values.iter().enumerate().map(|(i, &v)| value(id, i, v)).collect();
            executor.write_f64(id, &values);
        }
        for (id, indices) in &self.indices {
            executor.write(*id, bytemuck::cast_slice(indices));
        }
        executor.run(Pass::Forward..=Pass::Forward);
        executor
    }

    fn run_on_device(&self, tuning: Tuning) -> gpu::Executor {
        let mut executor = device::executor(&self.program, tuning);
        for (&id, operand) in &self.operands {
            let tensor = self.program.tensor(id);
            let Element::Float(dtype) = tensor.element else { panic!("{} is not a float tensor", tensor.name) };
            executor.write(id, &dtype.encode(&operand.values, tensor.cols));
        }
        for (id, indices) in &self.indices {
            executor.write(*id, bytemuck::cast_slice(indices));
        }
        match self.program.blocks[0].chunk_order {
            order @ ChunkOrder::Apart { .. } => order.chunks(0).for_each(|chunk| executor.run_chunk(0, chunk).unwrap()),
            _ => pollster::block_on(executor.run(Pass::Forward..=Pass::Forward)).unwrap(),
        }
        executor
    }

    fn gradcheck(&self, out: TensorId, weights: &[f32], (input, gradient): (TensorId, TensorId)) {
        const STEP: f64 = 1e-4;
        let Operand { values, padding } = &self.operands[&input];
        let weighted = |entry: usize, delta: f64| -> f64 {
            let is_shifted = |id, i| id == input && i == entry;
            let executor = self.run_reference(|id, i, value| f64::from(value) + if is_shifted(id, i) { delta } else { 0.0 });
            executor.read(out).iter().zip(weights).map(|(out, &weight)| out * f64::from(weight)).sum()
        };
        let mut random = Random::new(2);
        let entries: Vec<usize> = (0..24).map(|_| random.below(values.len() as u32) as usize).filter(|&i| !padding[i]).collect();
        let slope = |&at: &usize| (weighted(at, STEP) - weighted(at, -STEP)) / (2.0 * STEP);
        let slopes: Vec<f64> = entries.iter().map(slope).collect();
        let computed = self.run_reference(|_, _, value| f64::from(value));
        let computed: Vec<f64> = entries.iter().map(|&at| computed.read(gradient)[at]).collect();
        compare::norm(&self.program.tensor(gradient).name, &computed, &slopes, 1e-7).unwrap();
    }
}

/// What is rounded to bf16 may be off by a unit in the last place: where it lies near the middle of two, an error of f32 decides.
fn check_values(what: &str, actual: &[f64], expected: &[f64], magnitudes: &[f64], tolerance: Tolerance, is_rounded: bool) {
    let each = |bound: &dyn Fn(usize) -> f64| {
        let unit = |value: f64| if is_rounded { compare::bf16_unit(value) } else { 0.0 };
        let bounds: Vec<f64> = expected.iter().enumerate().map(|(i, &value)| bound(i) + unit(value)).collect();
        compare::each(what, actual, expected, &bounds)
    };
    let result = match tolerance {
        Tolerance::Exact => each(&|_| 0.0),
        Tolerance::Terms(terms) => each(&|i| 4.0 * f64::from(terms).sqrt() * ROUNDING * magnitudes[i]),
        Tolerance::Norm(tolerance) => {
            let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            let of_norm = if is_rounded { Ok(0.0) } else { compare::norm(what, actual, expected, tolerance) };
            of_norm.and_then(|_| each(&|_| 8.0 * tolerance * largest))
        }
    };
    result.unwrap_or_else(|problem| panic!("{problem}"));
}
