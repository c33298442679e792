//! Tile sizes of the kernels, by class of adapter or as measured.
//!
//! They never depend on the length of a chunk: one kernel serves all chunks, so results are bit-identical for every chunk length. A "group
//! of four" is a `vec4<f32>`.

use crate::step::TOKEN_TILE;

/// The tile sizes for which a device's kernels are expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tuning {
    /// Threads of a workgroup that reduces a row.
    pub row_threads: u32,
    /// Are these threads one subgroup, which reduces without a barrier?
    pub row_is_subgroup: bool,
    /// The most groups of operations beside one another in a dispatch: one on CPUs, where a workgroup also spends time on skipping the
    /// others.
    pub max_parallel_fused: u32,
    /// The most operations after one another in a dispatch: one on CPUs, whose compile time grows faster than the length of the code.
    pub max_sequential_fused: u32,
    /// The most storage buffers that a dispatch of several operations binds. It belongs to the device, not to what was measured.
    #[serde(skip, default = "base_storage_buffers")]
    pub max_storage_buffers: u32,
    /// Workgroups of a matrix product that keep the device busy: of fewer, each has a smaller tile.
    #[serde(default)]
    pub busy_workgroups: u32,
    /// Tile of [`Op::Linear`](crate::step::Op::Linear).
    pub linear: TokenTile,
    /// Tile of [`Op::LinearGrad`](crate::step::Op::LinearGrad).
    pub linear_grad: TokenTile,
    /// Tile of [`Op::LinearWeightGrad`](crate::step::Op::LinearWeightGrad).
    pub linear_weight_grad: WeightTile,
    /// Tile of [`Op::Attention`](crate::step::Op::Attention).
    pub attention: HeadTile,
    /// Tile of [`Op::AttentionQueryGrad`](crate::step::Op::AttentionQueryGrad).
    pub attention_query_grad: HeadTile,
    /// Tile of [`Op::AttentionKeyValueGrad`](crate::step::Op::AttentionKeyValueGrad).
    pub attention_key_value_grad: HeadTile,
}

/// Base WebGPU's `maxStorageBuffersPerShaderStage`.
const fn base_storage_buffers() -> u32 {
    8
}

/// How the threads of a workgroup share operands that all of them need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Sharing {
    /// Each thread loads the operand. This is good where a cache or the driver merges the loads.
    Direct,
    /// The threads of a subgroup, of that size, load a slice each and broadcast it.
    Subgroup(u32),
    /// The workgroup stages the operand in workgroup memory.
    Workgroup,
}

impl Sharing {
    /// The number of `parts` that are loaded together.
    pub(super) fn together(self, parts: u32, of_subgroup: impl Fn(u32) -> u32) -> u32 {
        match self {
            Sharing::Subgroup(threads) => of_subgroup(threads),
            Sharing::Direct | Sharing::Workgroup => parts,
        }
    }
}

/// The most tokens of a chunk that are few: the lanes of a CPU's SIMD vector.
const FEW_TOKENS: u32 = 8;
/// The most groups of four columns of a thread then, so that a small matrix has workgroups for several cores.
const FEW_VEC4S: u32 = 8;

/// The tile of a projection: a workgroup has a token tile, a thread some of its tokens and some groups of four columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TokenTile {
    /// Tokens per thread: a divisor of the token tile.
    pub tokens: u32,
    /// Groups of four columns per thread; with [`Sharing::Subgroup`] a multiple of those that a subgroup loads at once.
    pub vec4s: u32,
    /// Threads along the columns; one without workgroup memory.
    pub col_threads: u32,
    /// Groups of four of the inner dimension per iteration of a thread's loop. On some drivers each iteration has a cost for loop-carried
    /// variables.
    pub unroll: u32,
    /// How the threads share the matrix.
    pub sharing: Sharing,
    /// Tokens of the tile: a whole token tile, or fewer where no chunk has more.
    #[serde(skip, default = "all_tokens")]
    pub tile_tokens: u32,
}

/// The tokens of a token tile.
const fn all_tokens() -> u32 {
    TOKEN_TILE
}

impl TokenTile {
    /// Threads along the tokens.
    pub fn token_threads(self) -> u32 {
        self.tile_tokens / self.tokens
    }

    /// Threads per workgroup.
    pub fn workgroup_size(self) -> u32 {
        self.token_threads() * self.col_threads
    }

    /// The tile for chunks of so few tokens that a workgroup would mostly have others in their place, as where completions are sampled: on
    /// drivers for CPUs, which compute those all the same. What a sum adds, and in which order, is the same.
    pub(super) fn for_few(self, chunk_len: u32) -> TokenTile {
        if chunk_len > FEW_TOKENS {
            return self;
        }
        match self.sharing {
            // A lane for each token: the loads, which take longest, are as many.
            Sharing::Subgroup(lanes) => {
                TokenTile { tokens: FEW_TOKENS / lanes, vec4s: self.vec4s.min(FEW_VEC4S), tile_tokens: FEW_TOKENS, ..self }
            }
            Sharing::Direct => {
                let tokens = chunk_len.next_power_of_two();
                TokenTile { tokens, vec4s: 1, col_threads: FEW_TOKENS, tile_tokens: tokens, ..self }
            }
            Sharing::Workgroup => self,
        }
    }

    /// The same tile, narrower by up to half if a matrix of `matrix_vec4s` groups of four columns would leave much of the last tile empty.
    /// `together(size)` is the number of groups that a subgroup of that size loads at once.
    pub(super) fn fitted(self, matrix_vec4s: u32, together: impl Fn(u32) -> u32) -> TokenTile {
        let vec4s = fitted(self.vec4s, matrix_vec4s.div_ceil(self.col_threads), self.sharing.together(1, together));
        TokenTile { vec4s, ..self }
    }

    /// The largest tile with as many threads, of which chunks of `chunk_len` tokens have enough for a GPU. What a sum adds, and in which
    /// order, is the same with each.
    pub(super) fn busy(self, tuning: &Tuning, chunk_len: u32, matrix_vec4s: u32) -> TokenTile {
        let workgroups = |tile: &TokenTile| chunk_len.div_ceil(TOKEN_TILE) * matrix_vec4s.div_ceil(tile.workgroup_vec4s());
        largest(self, TokenTile::smaller, |tile| workgroups(tile) >= tuning.busy_workgroups)
    }

    fn smaller(self) -> Option<TokenTile> {
        match self {
            TokenTile { sharing: Sharing::Workgroup, vec4s: 2.., .. } => Some(TokenTile { vec4s: self.vec4s / 2, ..self }),
            TokenTile { sharing: Sharing::Workgroup, tokens: 8.., col_threads: 16.., .. } => {
                Some(TokenTile { tokens: self.tokens / 2, col_threads: self.col_threads / 2, ..self })
            }
            _ => None,
        }
    }

    /// Groups of four columns per workgroup.
    pub fn workgroup_vec4s(self) -> u32 {
        self.vec4s * self.col_threads
    }
}

/// The tile of a weight gradient: a thread has some groups of four rows and some groups of four columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct WeightTile {
    /// Threads along the columns; adjacent threads have adjacent columns.
    pub col_threads: u32,
    /// Threads along the rows; one without workgroup memory.
    pub row_threads: u32,
    /// Groups of four columns per thread.
    pub cols: u32,
    /// Groups of four rows per thread; with [`Sharing::Subgroup`] a multiple of the subgroup size.
    pub vec4s: u32,
    /// Tokens per iteration of a thread's loop: a divisor of eight.
    pub unroll: u32,
    /// How the threads share the operand of the rows.
    pub sharing: Sharing,
}

/// The tile of attention: a thread has some tokens of one head, fewer for a wide head, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HeadTile {
    /// The most tokens per thread; in tiles of workgroup memory, of those that its workgroup has.
    pub tokens: u32,
    /// The most groups of four columns of all tokens of a thread.
    pub vec4s: u32,
    /// Other tokens per iteration of a thread's loop: a divisor of those that threads load together. On some drivers each iteration has a
    /// cost for loop-carried variables.
    pub unroll: u32,
    /// How the threads share the other tokens.
    pub sharing: Sharing,
}

/// The first of a tile and ever smaller ones that is good, or the last.
fn largest<T: Copy>(tile: T, smaller: impl Fn(T) -> Option<T>, is_good: impl Fn(&T) -> bool) -> T {
    let tiles = || std::iter::successors(Some(tile), |&tile| smaller(tile));
    tiles().find(is_good).or_else(|| tiles().last()).unwrap_or(tile)
}

impl WeightTile {
    /// The largest tile with as many threads, of which a matrix has enough for a GPU.
    pub(super) fn busy(self, tuning: &Tuning, row_vec4s: u32, col_vec4s: u32) -> WeightTile {
        let workgroups =
            |tile: &WeightTile| row_vec4s.div_ceil(tile.vec4s * tile.row_threads) * col_vec4s.div_ceil(tile.cols * tile.col_threads);
        largest(self, WeightTile::smaller, |tile| workgroups(tile) >= tuning.busy_workgroups)
    }

    fn smaller(self) -> Option<WeightTile> {
        let WeightTile { row_threads, col_threads, vec4s, .. } = self;
        let can_be_halved = self.sharing == Sharing::Workgroup && vec4s >= 2 && col_threads >= 16;
        can_be_halved.then_some(WeightTile { vec4s: vec4s / 2, row_threads: 2 * row_threads, col_threads: col_threads / 2, ..self })
    }

    /// The same tile with up to half of the rows fewer if a matrix of `matrix_vec4s` groups of four rows would leave much of the last tile
    /// empty.
    pub(super) fn fitted(self, matrix_vec4s: u32) -> WeightTile {
        if self.sharing == Sharing::Workgroup {
            return self;
        }
        let vec4s = fitted(self.vec4s, matrix_vec4s.div_ceil(self.row_threads), self.sharing.together(1, |threads| threads));
        WeightTile { vec4s, ..self }
    }
}

/// The tile length between `most / 2` and `most`, a multiple of `step` (or `most` itself), that covers `all` with little waste. A longer
/// tile is preferred unless a shorter one computes a tenth less.
fn fitted(most: u32, all: u32, step: u32) -> u32 {
    let shorter = (most.div_ceil(2)..most).filter(|length| length.is_multiple_of(step)).rev();
    shorter.fold(most, |best, length| if all.next_multiple_of(best) * 9 > all.next_multiple_of(length) * 10 { length } else { best })
}

impl HeadTile {
    /// Do workgroups multiply tiles in workgroup memory? Otherwise each thread has whole rows of a head.
    pub(super) fn is_tiled(self) -> bool {
        self.sharing == Sharing::Workgroup
    }

    /// Tokens per thread for heads of `head_vec4s` groups of four columns: a power of two.
    pub(super) fn tokens_of(self, head_vec4s: u32) -> u32 {
        1 << (self.vec4s / head_vec4s).clamp(1, self.tokens).ilog2()
    }
}

impl Tuning {
    /// Is it for a driver that runs on a CPU? Such drivers have slow compilers, and their tunings were measured.
    pub fn is_for_cpu(&self) -> bool {
        self.row_threads <= 8
    }

    /// The most iterations of all loops of a thread together: lavapipe ends them there, without an error.
    pub(super) fn most_iterations(&self) -> u64 {
        if self.row_threads == 8 { 65_535 } else { u64::MAX }
    }

    /// Threads that split a tile's tokens when summing columns over tokens.
    pub(super) fn token_threads(&self) -> u32 {
        if self.is_for_cpu() { 1 } else { self.row_threads / 4 }
    }

    /// For GPUs: few registers per thread, many threads.
    pub const GPU: Tuning = Tuning {
        row_threads: 64,
        row_is_subgroup: false,
        max_parallel_fused: 8,
        max_sequential_fused: 8,
        max_storage_buffers: base_storage_buffers(),
        // Of 128 threads: four subgroups for each of the 96 schedulers of an RTX 4060.
        busy_workgroups: 96,
        linear: TokenTile { tokens: 8, vec4s: 2, col_threads: 16, unroll: 1, sharing: Sharing::Workgroup, tile_tokens: TOKEN_TILE },
        linear_grad: TokenTile { tokens: 8, vec4s: 2, col_threads: 16, unroll: 1, sharing: Sharing::Workgroup, tile_tokens: TOKEN_TILE },
        linear_weight_grad: WeightTile { col_threads: 16, row_threads: 8, cols: 1, vec4s: 2, unroll: 1, sharing: Sharing::Workgroup },
        attention: HeadTile { tokens: 4, vec4s: 32, unroll: 1, sharing: Sharing::Workgroup },
        attention_query_grad: HeadTile { tokens: 4, vec4s: 32, unroll: 1, sharing: Sharing::Workgroup },
        attention_key_value_grad: HeadTile { tokens: 2, vec4s: 16, unroll: 1, sharing: Sharing::Workgroup },
    };

    /// For drivers that run on a CPU: a workgroup is one SIMD vector of eight lanes, barriers are expensive, and a load costs as much as
    /// many multiplications, so each thread holds as much as it can. Measured on lavapipe.
    pub const CPU: Tuning = Tuning {
        row_threads: 8,
        row_is_subgroup: false,
        max_parallel_fused: 1,
        max_sequential_fused: 1,
        max_storage_buffers: base_storage_buffers(),
        busy_workgroups: 1,
        linear: TokenTile { tokens: 8, vec4s: 4, col_threads: 1, unroll: 1, sharing: Sharing::Direct, tile_tokens: TOKEN_TILE },
        linear_grad: TokenTile { tokens: 8, vec4s: 8, col_threads: 1, unroll: 1, sharing: Sharing::Direct, tile_tokens: TOKEN_TILE },
        linear_weight_grad: WeightTile { col_threads: 8, row_threads: 1, cols: 4, vec4s: 4, unroll: 2, sharing: Sharing::Direct },
        attention: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
        attention_query_grad: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
        attention_key_value_grad: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
    };

    /// The same where the eight lanes form a subgroup, which loads eight values in the time of one. Measured on lavapipe of Mesa 25.0 and
    /// 26.1.
    pub const CPU_SUBGROUP: Tuning = Tuning {
        row_threads: 8,
        row_is_subgroup: true,
        max_parallel_fused: 1,
        max_sequential_fused: 1,
        max_storage_buffers: base_storage_buffers(),
        busy_workgroups: 1,
        linear: TokenTile { tokens: 8, vec4s: 8, col_threads: 1, unroll: 1, sharing: Sharing::Subgroup(8), tile_tokens: TOKEN_TILE },
        linear_grad: TokenTile { tokens: 8, vec4s: 8, col_threads: 1, unroll: 1, sharing: Sharing::Subgroup(8), tile_tokens: TOKEN_TILE },
        linear_weight_grad: WeightTile { col_threads: 8, row_threads: 1, cols: 2, vec4s: 16, unroll: 4, sharing: Sharing::Subgroup(8) },
        attention: HeadTile { tokens: 8, vec4s: 64, unroll: 8, sharing: Sharing::Subgroup(8) },
        attention_query_grad: HeadTile { tokens: 8, vec4s: 64, unroll: 1, sharing: Sharing::Subgroup(8) },
        attention_key_value_grad: HeadTile { tokens: 4, vec4s: 32, unroll: 2, sharing: Sharing::Subgroup(8) },
    };

    /// The same for older versions of lavapipe, where a load costs several times as much: tiles as long as the instruction cache allows.
    /// Newer versions gain nothing by them, and take 1.6 times as long to compile. Measured with Mesa 22.3.
    pub const CPU_SUBGROUP_LONG: Tuning = Tuning {
        linear: TokenTile { vec4s: 20, ..Tuning::CPU_SUBGROUP.linear },
        linear_grad: TokenTile { vec4s: 16, ..Tuning::CPU_SUBGROUP.linear_grad },
        ..Tuning::CPU_SUBGROUP
    };

    /// For SwiftShader: SIMD vectors of four lanes, and a hundred instructions for each 32-bit load. A loop's body must stay in the
    /// instruction cache, and compile time grows with the square of its length.
    pub const SMALL_CPU: Tuning = Tuning {
        row_threads: 4,
        row_is_subgroup: false,
        max_parallel_fused: 1,
        max_sequential_fused: 1,
        max_storage_buffers: base_storage_buffers(),
        busy_workgroups: 1,
        linear: TokenTile { tokens: 8, vec4s: 2, col_threads: 1, unroll: 1, sharing: Sharing::Direct, tile_tokens: TOKEN_TILE },
        linear_grad: TokenTile { tokens: 8, vec4s: 2, col_threads: 1, unroll: 1, sharing: Sharing::Direct, tile_tokens: TOKEN_TILE },
        linear_weight_grad: WeightTile { col_threads: 4, row_threads: 1, cols: 2, vec4s: 4, unroll: 2, sharing: Sharing::Direct },
        attention: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
        attention_query_grad: HeadTile { tokens: 4, vec4s: 32, unroll: 1, sharing: Sharing::Direct },
        attention_key_value_grad: HeadTile { tokens: 2, vec4s: 16, unroll: 1, sharing: Sharing::Direct },
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_shorter_where_the_last_one_would_be_empty() {
        // 20 cover 80 and 40, and 256 with 4 too many; of 24 they would leave 16.
        assert_eq!([80, 256, 40, 24].map(|all| fitted(20, all, 2)), [20, 20, 20, 12]);
        assert_eq!([8, 16, 20, 40].map(|all| fitted(16, all, 8)), [8, 16, 8, 8]);
        assert_eq!([1, 7].map(|all| fitted(1, all, 1)), [1, 1]);
    }

    #[test]
    fn a_thread_of_attention_holds_what_fits() {
        assert_eq!([1, 3, 8, 9, 16, 64, 65].map(|head| Tuning::CPU.attention.tokens_of(head)), [8, 8, 8, 4, 4, 1, 1]);
        assert_eq!([1, 8, 16, 32, 64].map(|head| Tuning::GPU.attention.tokens_of(head)), [4, 4, 2, 1, 1]);
    }
}
