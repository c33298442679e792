//! The dispatch of an operation: its shader, bindings, uniforms and grid of workgroups.

use super::part::Part;
use super::shader::{Constants, Shader};
use super::tuning::{Sharing, TokenTile, Tuning, WeightTile};
use crate::model::Dtype;
use crate::step::{BINDING_ALIGNMENT, Element, Op, OpKind, Precision, Program, SUM_BLOCK, TOKEN_TILE, TensorId};

/// Where in the uniform slot of an operation it stands whether it is for tokens with labels only, in bytes: behind the fields of `Params`.
pub(super) const LABELLED_ONLY_AT: u64 = BINDING_ALIGNMENT - 4;

/// The access mode of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingAccess {
    /// `var<storage, read>`. Only for tensors with a buffer of their own: WebGPU forbids binding a buffer read-only and writable in the
    /// same dispatch.
    Read,
    /// `var<storage, read_write>`. All tensors in the arena are bound this way, also those that are only read.
    ReadWrite,
}

/// The value of a field of a shader's `Params`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An index, a length or a flag.
    U32(u32),
    /// A real number.
    F32(f32),
}

/// The grid: how many workgroups an operation has for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grid {
    /// One per token tile of the chunk along x, and that many along y.
    TokenTiles(u32),
    /// One per token tile with keys in the windows of the chunk's queries along x, and `others` along y.
    KeyTiles {
        /// The sliding window in tokens, the query included.
        window: u32,
        /// Workgroups of a token tile.
        others: u32,
    },
    /// That many per token.
    PerToken(u32),
    /// One per 64 threads, with that many threads per token.
    ThreadsPerToken(u32),
    /// One per 64 threads, with that many threads in total.
    Threads(u64),
    /// That many along x and y, each of which goes through all tokens of the chunk, from the last to the first.
    OverTokens(u32, u32),
    /// That many along x and y, independent of the chunk.
    Workgroups(u32, u32),
}

/// Tokens per iteration of a thread that sums over the tokens of a tile.
const TOKENS_UNROLLED: u32 = 4;

/// Sizes of a tile of a product in workgroup memory, in groups of four: rows, columns at most, and terms of the sums.
const MATMUL_ROW_VEC4S: u32 = 16;
const MATMUL_COL_VEC4S: u32 = 32;
const MATMUL_TERM_VEC4S: u32 = 2;

/// WebGPU's `max_compute_workgroups_per_dimension`, on every adapter.
const MAX_WORKGROUPS: u64 = 65_535;

impl Grid {
    /// The number of workgroups along x, y and z for a part of a chunk.
    pub fn workgroups(self, part: &Part) -> [u32; 3] {
        let chunk = part.chunk;
        let tokens = u64::from(chunk.count);
        match self {
            Grid::TokenTiles(others) => [chunk.count.div_ceil(TOKEN_TILE), others, 1],
            Grid::KeyTiles { window, others } => {
                let first = chunk.start.saturating_sub(window - 1).max(part.keys.start) / TOKEN_TILE;
                [chunk.end().min(part.keys.end).div_ceil(TOKEN_TILE) - first, others, 1]
            }
            Grid::PerToken(others) => fold(tokens * u64::from(others)),
            Grid::ThreadsPerToken(threads) => fold((tokens * u64::from(threads)).div_ceil(64)),
            Grid::Threads(threads) => fold(threads.div_ceil(64)),
            Grid::OverTokens(x, y) | Grid::Workgroups(x, y) => [x, y, 1],
        }
    }
}

impl Grid {
    /// The number of workgroups along x and y in WGSL, for the chunk, or the part of it, that a dispatch is for.
    pub(super) fn wgsl(self) -> String {
        match self {
            Grid::TokenTiles(others) => format!("vec2(token_tiles(), {others}u)"),
            Grid::KeyTiles { .. } => panic!("operations on key tiles have a dispatch of their own"),
            Grid::PerToken(others) => format!("vec2(chunk.count * {others}u, 1u)"),
            Grid::ThreadsPerToken(threads) => format!("vec2((chunk.count * {threads}u + 63u) / 64u, 1u)"),
            Grid::Threads(threads) => format!("vec2({}u, 1u)", threads.div_ceil(64)),
            Grid::OverTokens(x, y) | Grid::Workgroups(x, y) => format!("vec2({x}u, {y}u)"),
        }
    }
}

/// Operations of a dispatch that the same workgroups run, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The grid of the workgroups.
    pub grid: Grid,
    /// The places of its operations in the dispatch.
    pub ops: Vec<usize>,
}

impl Group {
    /// The number of its workgroups for a part of a chunk.
    pub fn workgroups(&self, part: &Part) -> u64 {
        self.grid.workgroups(part).into_iter().map(u64::from).product()
    }

    /// The number of workgroups of a dispatch along x, y and z.
    pub fn all_workgroups(groups: &[Group], part: &Part) -> [u32; 3] {
        match groups {
            [alone] => alone.grid.workgroups(part),
            _ => fold(groups.iter().map(|group| group.workgroups(part)).sum()),
        }
    }
}

/// Folds workgroups into two dimensions if one is too short. The shader unfolds them with `flat_workgroup`.
fn fold(workgroups: u64) -> [u32; 3] {
    let rows = workgroups.div_ceil(MAX_WORKGROUPS).max(1);
    [workgroups.div_ceil(rows) as u32, rows as u32, 1]
}

/// The dispatch of an operation.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The shader.
    pub shader: Shader,
    /// Bindings 2, 3, …: the name of the shader's variable, its access mode, and the tensor.
    pub bindings: Vec<(&'static str, BindingAccess, TensorId)>,
    /// The fields of `Params`, in order.
    pub params: Vec<(&'static str, Value)>,
    /// The grid of workgroups.
    pub grid: Grid,
    /// How often a thread's loops run, where that grows with the tokens.
    pub iterations: Iterations,
    /// Groups of four columns that a workgroup computes for a token tile, if the workgroups together compute all columns of the output.
    pub(super) tile_vec4s: Option<u32>,
    /// Adjacent groups of four columns that a thread needs all of, if the kernel can go on from the tile of a workgroup.
    pub(super) follows_vec4s: Option<u32>,
}

/// Iterations of all loops of a thread together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iterations {
    /// For each token tile of the chunk.
    pub of_tile: u64,
    /// For all tokens of the batch.
    pub of_batch: u64,
}

impl Dispatch {
    /// A dispatch without bindings, parameters and constants.
    pub(super) fn new(kind: OpKind, grid: Grid) -> Self {
        Dispatch {
            shader: Shader::new(kind, Constants::new()),
            bindings: Vec::new(),
            params: Vec::new(),
            grid,
            iterations: Iterations::default(),
            tile_vec4s: None,
            follows_vec4s: None,
        }
    }

    /// A dispatch that sums over tokens: its threads have `columns` groups of four columns, and go through all tokens of the chunk tile by
    /// tile, with that many iterations of a loop for the tokens that are summed at once.
    pub(super) fn over_tokens(kind: OpKind, columns: u32, tuning: &Tuning, loops_of_token: u32) -> Self {
        let token_threads = tuning.token_threads();
        let col_threads = tuning.row_threads / token_threads;
        Dispatch::new(kind, Grid::OverTokens(columns.div_ceil(col_threads), 1))
            .constant("WORKGROUP_SIZE", tuning.row_threads)
            .constant("COL_THREADS", col_threads)
            .constant("TOKEN_THREADS", token_threads)
            .constant("UNROLL", TOKENS_UNROLLED)
            .iterations_of_tile(1 + TOKEN_TILE / (TOKENS_UNROLLED * token_threads) * (1 + loops_of_token))
            .condition("SPLIT", token_threads > 1)
            .condition("SUBGROUP", tuning.row_is_subgroup)
    }

    /// Sets the precision of its operands: what a sum of several blocks would lose in the output, it holds in registers.
    pub(super) fn with_precisions(mut self, program: &Program, op: &Op) -> Self {
        let of_tensor = |&(name, access, tensor): &(&'static str, BindingAccess, TensorId)| {
            let precision = (access == BindingAccess::ReadWrite).then(|| program.precision(op, tensor))?;
            (precision != Precision::F32).then_some((name, precision))
        };
        self.shader.operands = self.bindings.iter().filter_map(of_tensor).collect();
        let is_rounded = self.shader.operands.iter().any(|(name, _)| *name == "out");
        let is_held = is_rounded && self.shader.constant("BLOCKED").is_some();
        self.condition("HELD", is_held)
    }

    /// Threads of a workgroup.
    pub(super) fn workgroup_size(&self) -> u32 {
        self.shader.workgroup_size()
    }

    pub(super) fn read(mut self, name: &'static str, tensor: TensorId) -> Self {
        self.bindings.push((name, BindingAccess::Read, tensor));
        self
    }

    pub(super) fn write(mut self, name: &'static str, tensor: TensorId) -> Self {
        self.bindings.push((name, BindingAccess::ReadWrite, tensor));
        self
    }

    /// Binds a weight matrix, and sets the condition of its dtype.
    pub(super) fn weight(self, program: &Program, weight: TensorId) -> Self {
        let stored = match program.tensor(weight).element {
            Element::Float(dtype) => dtype,
            Element::U32 => panic!("{} is not a matrix", program.tensor(weight).name),
        };
        self.read("weight", weight)
            .condition("BF16", stored == Dtype::Bf16)
            .condition("F16", stored == Dtype::F16)
            .condition("INT8", stored == Dtype::Int8)
    }

    /// Binds an optional tensor of the arena.
    pub(super) fn write_if_any(self, name: &'static str, tensor: Option<TensorId>) -> Self {
        match tensor {
            Some(tensor) => self.write(name, tensor),
            None => self,
        }
    }

    /// Sets the soft cap of logits, if there is one: `cap · tanh(x / cap)`.
    pub(super) fn softcap(self, cap: Option<f64>) -> Self {
        self.f32("softcap", cap.unwrap_or(0.0) as f32).condition("SOFTCAP", cap.is_some())
    }

    /// Sets what logits are divided by.
    pub(super) fn temperature(self, temperature: f64) -> Self {
        self.f32("temperature", temperature as f32).condition("TEMPERATURE", temperature != 1.0)
    }

    pub(super) fn u32(mut self, name: &'static str, value: u32) -> Self {
        self.params.push((name, Value::U32(value)));
        self
    }

    pub(super) fn f32(mut self, name: &'static str, value: f32) -> Self {
        self.params.push((name, Value::F32(value)));
        self
    }

    /// Adds the row modulus of a tensor as a parameter.
    pub(super) fn row_modulus(self, name: &'static str, program: &Program, tensor: TensorId) -> Self {
        let tensor = program.tensor(tensor);
        self.u32(name, tensor.row_modulus().unwrap_or_else(|| panic!("the rows of {} are not tokens", tensor.name)))
    }

    pub(super) fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.shader.constants.push((name, value));
        self
    }

    /// Sets the constants of a tile of tokens and columns. `together(size)` is the number of groups of four columns that a subgroup of that
    /// size reads at once.
    pub(super) fn token_tile(self, tile: TokenTile, together: impl Fn(u32) -> u32) -> Self {
        let row_threads = tile.token_threads();
        if tile.sharing == Sharing::Workgroup {
            return self.matmul_tile([row_threads, tile.col_threads], [tile.tokens / 4, tile.vec4s]);
        }
        self.shared(tile.sharing, tile.vec4s, together)
            .constant("WORKGROUP_SIZE", tile.workgroup_size())
            .constant("TOKEN_THREADS", row_threads)
            .constant("COL_THREADS", tile.col_threads)
            .constant("TOKENS", tile.tokens)
            .constant("UNROLL", tile.unroll)
    }

    /// Says that its workgroups together compute all columns of the output, if they do.
    pub(super) fn computes_all(self, tile: TokenTile, holds: bool) -> Self {
        let holds = holds && tile.sharing == Sharing::Workgroup;
        Dispatch { tile_vec4s: holds.then(|| tile.workgroup_vec4s()), ..self }
    }

    /// Says that it can go on from the tile of a workgroup that has whole groups of so many groups of four columns.
    pub(super) fn follows_tiles_of(self, vec4s: u32) -> Self {
        Dispatch { follows_vec4s: Some(vec4s), ..self }
    }

    /// Sets the constants of a tile of rows and columns of a matrix.
    pub(super) fn weight_tile(self, tile: WeightTile) -> Self {
        if tile.sharing == Sharing::Workgroup {
            return self.matmul_tile([tile.row_threads, tile.col_threads], [tile.vec4s, tile.cols]);
        }
        self.shared(tile.sharing, tile.vec4s, |threads| threads)
            .constant("WORKGROUP_SIZE", tile.col_threads * tile.row_threads)
            .constant("COL_THREADS", tile.col_threads)
            .constant("ROW_THREADS", tile.row_threads)
            .constant("COLS", tile.cols)
            .constant("UNROLL", tile.unroll)
    }

    /// Sets the constants of a tile in workgroup memory: its threads along rows and columns, and how many groups of four rows and columns
    /// each of them has. See `matmul_tile.wgsl`.
    fn matmul_tile(self, threads: [u32; 2], vec4s: [u32; 2]) -> Self {
        let [rows, cols] = [0, 1].map(|i| threads[i] * vec4s[i]);
        let size = threads[0] * threads[1];
        let fits = rows == MATMUL_ROW_VEC4S && cols <= MATMUL_COL_VEC4S && size >= MATMUL_TERM_VEC4S * (rows + cols);
        assert!(fits, "a tile of {threads:?} threads with {vec4s:?} groups of four");
        self.condition("TILED", true)
            .constant("WORKGROUP_SIZE", size)
            .constant("ROW_THREADS", threads[0])
            .constant("COL_THREADS", threads[1])
            .constant("ROW_VEC4S", vec4s[0])
            .constant("COL_VEC4S", vec4s[1])
    }

    /// Sets the constants of kernels in which a workgroup reduces a row. A block has so many elements, or groups of four of them, that a
    /// thread adds no more than [`SUM_BLOCK`] of them.
    pub(super) fn threads_of_a_row(self, tuning: &Tuning) -> Self {
        self.constant("WORKGROUP_SIZE", tuning.row_threads)
            .constant("BLOCK", tuning.row_threads * SUM_BLOCK / 4)
            .condition("SUBGROUP", tuning.row_is_subgroup)
    }

    /// Sets the constants of sharing `count` groups of four between threads: `GROUPS` rounds of `QUADS`, where `QUADS` is what threads load
    /// together.
    pub(super) fn shared(self, sharing: Sharing, count: u32, together: impl Fn(u32) -> u32) -> Self {
        let quads = sharing.together(count, together);
        assert!(quads > 0 && count.is_multiple_of(quads), "{count} vec4s of a thread in groups of {quads}");
        self.sharing(sharing).constant("GROUPS", count / quads).constant("QUADS", quads)
    }

    /// Sets the condition of a way of sharing.
    pub(super) fn sharing(self, sharing: Sharing) -> Self {
        self.condition("DIRECT", sharing == Sharing::Direct)
            .condition("SUBGROUP", matches!(sharing, Sharing::Subgroup(_)))
            .condition("STAGED", sharing == Sharing::Workgroup)
    }

    pub(super) fn iterations_of_tile(self, of_tile: u32) -> Self {
        Dispatch { iterations: Iterations { of_tile: of_tile.into(), ..self.iterations }, ..self }
    }

    pub(super) fn iterations_of_batch(self, of_batch: u32) -> Self {
        Dispatch { iterations: Iterations { of_batch: of_batch.into(), ..self.iterations }, ..self }
    }

    pub(super) fn condition(self, name: &'static str, holds: bool) -> Self {
        if holds { self.constant(name, 1) } else { self }
    }

    /// The contents of the uniform slot, in bytes.
    pub(super) fn param_bytes(&self, labelled_only: bool) -> Vec<u8> {
        let bytes = |(_, value): &(_, Value)| match value {
            Value::U32(v) => v.to_le_bytes(),
            Value::F32(v) => v.to_le_bytes(),
        };
        let mut slot: Vec<u8> = self.params.iter().flat_map(bytes).collect();
        assert!(slot.len() as u64 <= LABELLED_ONLY_AT, "{:?} has {} bytes of parameters", self.shader.kind, slot.len());
        slot.resize(LABELLED_ONLY_AT as usize, 0);
        slot.extend(u32::from(labelled_only).to_le_bytes());
        slot
    }
}
