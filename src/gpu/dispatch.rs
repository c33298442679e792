//! How an operation is put on a device: a shader, what it is bound to, its uniform, its grid.

use super::shader::{Constants, Shader};
use super::tuning::{Sharing, TokenTile, Tuning};
use crate::model::Dtype;
use crate::step::{Chunk, Element, OpKind, Program, TOKEN_TILE, TensorId};

/// How a shader uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingAccess {
    /// `var<storage, read>`. Only for tensors with a buffer of their own, since a buffer may not be bound for reading and
    /// for writing at once.
    Read,
    /// `var<storage, read_write>`. All tensors in the arena are bound so, read or written.
    ReadWrite,
}

/// A field of a shader's `Params`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An index, a length or a flag.
    U32(u32),
    /// A number.
    F32(f32),
}

/// How many workgroups an operation gets for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// One for each token tile of the chunk, times so many.
    TokenTiles(u32),
    /// One for each token tile with keys in the windows of the chunk's queries, times so many.
    KeyTiles {
        /// Tokens that a query sees.
        window: u32,
        /// Workgroups of a token tile.
        others: u32,
    },
    /// So many for each token.
    PerToken(u32),
    /// One for each 64 of so many threads a token.
    ThreadsPerToken(u32),
    /// One for each 64 of so many threads.
    Threads(u64),
    /// So many, along x and y.
    Workgroups(u32, u32),
}

/// Groups of four that a workgroup reads of each row into its memory at once.
const STAGED_VEC4S: u32 = 4;

/// WebGPU's `max_compute_workgroups_per_dimension`, on every adapter.
const MAX_WORKGROUPS: u64 = 65_535;

impl Grid {
    /// Workgroups for a chunk.
    pub fn workgroups(self, chunk: Chunk) -> [u32; 3] {
        let tokens = u64::from(chunk.count);
        match self {
            Grid::TokenTiles(others) => [chunk.count.div_ceil(TOKEN_TILE), others, 1],
            Grid::KeyTiles { window, others } => {
                let first = chunk.start.saturating_sub(window - 1) / TOKEN_TILE;
                [chunk.end().div_ceil(TOKEN_TILE) - first, others, 1]
            }
            Grid::PerToken(others) => fold(tokens * u64::from(others)),
            Grid::ThreadsPerToken(threads) => fold((tokens * u64::from(threads)).div_ceil(64)),
            Grid::Threads(threads) => fold(threads.div_ceil(64)),
            Grid::Workgroups(x, y) => [x, y, 1],
        }
    }
}

impl Grid {
    /// Workgroups along y, if a shader has to know where they end.
    pub(super) fn rows(self) -> u32 {
        match self {
            Grid::TokenTiles(rows) | Grid::Workgroups(_, rows) => rows,
            _ => u32::MAX,
        }
    }

    /// Can operations with these grids be done beside each other, with few workgroups that have nothing to do?
    pub(super) fn is_along(self, other: Grid) -> bool {
        let few_are_idle = |a: u32, b: u32| a.max(b) <= 2 * a.min(b);
        match (self, other) {
            (Grid::TokenTiles(a), Grid::TokenTiles(b)) => few_are_idle(a, b),
            (Grid::Workgroups(x, a), Grid::Workgroups(other_x, b)) => x == other_x && few_are_idle(a, b),
            _ => self == other,
        }
    }

    /// The one with more workgroups along y.
    pub(super) fn larger(self, other: Grid) -> Grid {
        if self.rows() < other.rows() { other } else { self }
    }
}

/// Two dimensions where one is too short. The shader unfolds them with `flat_workgroup`.
fn fold(workgroups: u64) -> [u32; 3] {
    let rows = workgroups.div_ceil(MAX_WORKGROUPS).max(1);
    [workgroups.div_ceil(rows) as u32, rows as u32, 1]
}

/// Everything that a device must be told about an operation.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The shader.
    pub shader: Shader,
    /// Bindings 2, 3 … by the name of the variable in the shader.
    pub bindings: Vec<(&'static str, BindingAccess, TensorId)>,
    /// The fields of `Params`, in their order.
    pub params: Vec<(&'static str, Value)>,
    /// Workgroups.
    pub grid: Grid,
}

impl Dispatch {
    /// A dispatch without bindings; the rest follows.
    pub(super) fn new(kind: OpKind, grid: Grid) -> Self {
        Dispatch { shader: Shader { kind, constants: Constants::new() }, bindings: Vec::new(), params: Vec::new(), grid }
    }

    /// A dispatch whose threads have so many groups of four columns, and go through all tokens of the chunk, a tile at a time.
    pub(super) fn over_tokens(kind: OpKind, columns: u32, tuning: &Tuning) -> Self {
        let token_threads = tuning.token_threads();
        let col_threads = tuning.row_threads / token_threads;
        Dispatch::new(kind, Grid::Workgroups(columns.div_ceil(col_threads), 1))
            .constant("WORKGROUP_SIZE", tuning.row_threads)
            .constant("COL_THREADS", col_threads)
            .constant("TOKEN_THREADS", token_threads)
            .condition("SPLIT", token_threads > 1)
    }

    pub(super) fn read(mut self, name: &'static str, tensor: TensorId) -> Self {
        self.bindings.push((name, BindingAccess::Read, tensor));
        self
    }

    pub(super) fn write(mut self, name: &'static str, tensor: TensorId) -> Self {
        self.bindings.push((name, BindingAccess::ReadWrite, tensor));
        self
    }

    /// Binds a matrix, of whatever dtype.
    pub(super) fn weight(self, program: &Program, weight: TensorId) -> Self {
        let stored = match program.tensor(weight).element {
            Element::Float(dtype) => dtype,
            Element::U32 => panic!("{} is no matrix", program.tensor(weight).name),
        };
        self.read("weight", weight)
            .condition("BF16", stored == Dtype::Bf16)
            .condition("F16", stored == Dtype::F16)
            .condition("INT8", stored == Dtype::Int8)
    }

    /// Binds a tensor of the arena that not every use of the operation has.
    pub(super) fn write_if_any(self, name: &'static str, tensor: Option<TensorId>) -> Self {
        match tensor {
            Some(tensor) => self.write(name, tensor),
            None => self,
        }
    }

    /// Tells the shader within which numbers scores or logits are kept, if they are.
    pub(super) fn softcap(self, cap: Option<f64>) -> Self {
        self.f32("softcap", cap.unwrap_or(0.0) as f32).condition("SOFTCAP", cap.is_some())
    }

    pub(super) fn u32(mut self, name: &'static str, value: u32) -> Self {
        self.params.push((name, Value::U32(value)));
        self
    }

    pub(super) fn f32(mut self, name: &'static str, value: f32) -> Self {
        self.params.push((name, Value::F32(value)));
        self
    }

    /// Tells the shader after how many tokens a tensor's rows start over.
    pub(super) fn row_modulus(self, name: &'static str, program: &Program, tensor: TensorId) -> Self {
        let tensor = program.tensor(tensor);
        self.u32(name, tensor.rows.row_modulus().unwrap_or_else(|| panic!("the rows of {} are no tokens", tensor.name)))
    }

    pub(super) fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.shader.constants.push((name, value));
        self
    }

    /// What kernels are told about a tile of tokens and columns; `together` is how many groups of four columns a subgroup reads at once.
    pub(super) fn token_tile(self, tile: TokenTile, together: impl Fn(u32) -> u32) -> Self {
        self.shared(tile.sharing, tile.vec4s, together)
            .constant("WORKGROUP_SIZE", tile.workgroup_size())
            .constant("TOKEN_THREADS", TOKEN_TILE / tile.tokens)
            .constant("COL_THREADS", tile.col_threads)
            .constant("TOKENS", tile.tokens)
            .constant("STEP", STAGED_VEC4S)
            .constant("UNROLL", tile.unroll)
    }

    /// What kernels are told that add up a row by the threads of a workgroup.
    pub(super) fn threads_of_a_row(self, tuning: &Tuning) -> Self {
        self.constant("WORKGROUP_SIZE", tuning.row_threads).condition("SUBGROUP", tuning.row_is_subgroup)
    }

    /// How threads share what all of them need: in groups of so many where a subgroup does it, each group of `together` parts. Of
    /// `count` parts, `GROUPS` times `QUADS`.
    pub(super) fn shared(self, sharing: Sharing, count: u32, together: impl Fn(u32) -> u32) -> Self {
        let quads = sharing.together(count, together);
        assert!(quads > 0 && count.is_multiple_of(quads), "{count} parts of a thread in groups of {quads}");
        self.sharing(sharing).constant("GROUPS", count / quads).constant("QUADS", quads)
    }

    /// The condition that stands for a way of sharing.
    pub(super) fn sharing(self, sharing: Sharing) -> Self {
        self.condition("DIRECT", sharing == Sharing::Direct)
            .condition("SUBGROUP", matches!(sharing, Sharing::Subgroup(_)))
            .condition("STAGED", sharing == Sharing::Workgroup)
    }

    pub(super) fn condition(self, name: &'static str, holds: bool) -> Self {
        if holds { self.constant(name, 1) } else { self }
    }

    /// The bytes of the uniform.
    pub(super) fn param_bytes(&self) -> Vec<u8> {
        let bytes = |(_, value): &(_, Value)| match value {
            Value::U32(v) => v.to_le_bytes(),
            Value::F32(v) => v.to_le_bytes(),
        };
        self.params.iter().flat_map(bytes).collect()
    }
}
