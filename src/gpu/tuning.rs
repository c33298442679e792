//! Sizes of tiles, by class of adapter or as measured. Never by the length of a chunk: one kernel serves all chunks, so that all give
//! the same bits.

use crate::step::TOKEN_TILE;

/// The sizes that a device's kernels are written out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tuning {
    /// Threads that share a row where a row is summed up.
    pub row_threads: u32,
    /// Are they one subgroup, that adds up without a barrier?
    pub row_is_subgroup: bool,
    /// Operations that one dispatch may do beside each other: one on CPUs, where those of a workgroup that are not its own cost time too.
    pub max_parallel_fused: u32,
    /// Operations that one dispatch may do in turn: one on CPUs, the time of whose compilers grows faster than what they compile.
    pub max_sequential_fused: u32,
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

/// How the threads of a workgroup come by what all of them need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Sharing {
    /// Each reads it: that is good where a cache or the driver makes one load of it.
    Direct,
    /// The threads of a subgroup, so many, read a part each and tell one another.
    Subgroup(u32),
    /// The workgroup reads it into its own memory.
    Workgroup,
}

impl Sharing {
    /// Of so many parts, those that are read together.
    pub(super) fn together(self, parts: u32, of_subgroup: impl Fn(u32) -> u32) -> u32 {
        match self {
            Sharing::Subgroup(threads) => of_subgroup(threads),
            Sharing::Direct | Sharing::Workgroup => parts,
        }
    }
}

/// A workgroup has a token tile; a thread so many of its tokens, and so many groups of four columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TokenTile {
    /// Tokens of a thread: a divisor of the token tile.
    pub tokens: u32,
    /// Groups of four columns of a thread; with [`Sharing::Subgroup`] a whole number of those that a subgroup reads at once.
    pub vec4s: u32,
    /// Threads along the columns; one where a workgroup shares no memory.
    pub col_threads: u32,
    /// Groups of four of what is added up that a thread takes in one turn of its loop, each of which some drivers let it pay for what it
    /// carries along.
    pub unroll: u32,
    /// How they share the matrix.
    pub sharing: Sharing,
}

impl TokenTile {
    /// Threads of a workgroup.
    pub fn workgroup_size(self) -> u32 {
        TOKEN_TILE / self.tokens * self.col_threads
    }

    /// Narrower, but no less than half as wide, where a matrix of so many groups of four columns would leave much of the last tile empty;
    /// `together` is how many groups a subgroup of so many threads reads at once.
    pub(super) fn fitted(self, matrix_vec4s: u32, together: impl Fn(u32) -> u32) -> TokenTile {
        let vec4s = fitted(self.vec4s, matrix_vec4s.div_ceil(self.col_threads), self.sharing.together(1, together));
        TokenTile { vec4s, ..self }
    }

    /// Groups of four columns of a workgroup.
    pub fn workgroup_vec4s(self) -> u32 {
        self.vec4s * self.col_threads
    }
}

/// A thread has so many groups of four rows, and so many groups of four columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct WeightTile {
    /// Threads along the columns; neighbours have neighbouring columns.
    pub col_threads: u32,
    /// Threads along the rows; one where a workgroup shares no memory.
    pub row_threads: u32,
    /// Groups of four columns of a thread.
    pub cols: u32,
    /// Groups of four rows of a thread; with [`Sharing::Subgroup`] a whole number of subgroups.
    pub vec4s: u32,
    /// Tokens that a thread adds up before it goes on to the next rows: a divisor of eight.
    pub unroll: u32,
    /// How they share what belongs to rows.
    pub sharing: Sharing,
}

/// A thread has so many tokens of one head, fewer where a head is wide, and one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HeadTile {
    /// Tokens of a thread at most.
    pub tokens: u32,
    /// Groups of four columns of all its tokens at most.
    pub vec4s: u32,
    /// Other tokens that a thread looks at in one turn of its loop, each of which some drivers let it pay for what it carries along: a
    /// divisor of those that threads read together.
    pub unroll: u32,
    /// How they share the tokens that all of them look at.
    pub sharing: Sharing,
}

impl WeightTile {
    /// With fewer rows, but no less than half of them, where a matrix of so many groups of four rows would leave much of the last tile empty.
    pub(super) fn fitted(self, matrix_vec4s: u32) -> WeightTile {
        let vec4s = fitted(self.vec4s, matrix_vec4s.div_ceil(self.row_threads), self.sharing.together(1, |threads| threads));
        WeightTile { vec4s, ..self }
    }
}

/// The length of tiles, `most` at most and no less than half of it, that covers `all` with little behind its end: a longer one counts as
/// good as a shorter one that has a tenth less to compute. Each is a multiple of `step`.
fn fitted(most: u32, all: u32, step: u32) -> u32 {
    let shorter = (most.div_ceil(2)..most).filter(|length| length.is_multiple_of(step)).rev();
    shorter.fold(most, |best, length| if all.next_multiple_of(best) * 9 > all.next_multiple_of(length) * 10 { length } else { best })
}

impl HeadTile {
    /// Tokens of a thread for heads of so many groups of four columns: a power of two.
    pub(super) fn tokens_of(self, head_vec4s: u32) -> u32 {
        1 << (self.vec4s / head_vec4s).clamp(1, self.tokens).ilog2()
    }
}

impl Tuning {
    /// Is it for a driver that runs on a CPU? For these it was measured, and their compilers are slow.
    pub fn is_for_cpu(&self) -> bool {
        self.row_threads <= 8
    }

    /// Threads that share a tile's tokens where these are summed up by columns.
    pub(super) fn token_threads(&self) -> u32 {
        if self.is_for_cpu() { 1 } else { self.row_threads / 4 }
    }

    /// For GPUs: few registers a thread, many threads.
    pub const GPU: Tuning = Tuning {
        row_threads: 64,
        row_is_subgroup: false,
        max_parallel_fused: 8,
        max_sequential_fused: 8,
        linear: TokenTile { tokens: 8, vec4s: 1, col_threads: 16, unroll: 1, sharing: Sharing::Workgroup },
        linear_grad: TokenTile { tokens: 8, vec4s: 1, col_threads: 16, unroll: 1, sharing: Sharing::Workgroup },
        linear_weight_grad: WeightTile { col_threads: 16, row_threads: 8, cols: 1, vec4s: 2, unroll: 1, sharing: Sharing::Workgroup },
        attention: HeadTile { tokens: 2, vec4s: 16, unroll: 4, sharing: Sharing::Workgroup },
        attention_query_grad: HeadTile { tokens: 2, vec4s: 16, unroll: 1, sharing: Sharing::Workgroup },
        attention_key_value_grad: HeadTile { tokens: 1, vec4s: 16, unroll: 1, sharing: Sharing::Workgroup },
    };

    /// For drivers that run on a CPU: a workgroup is one vector of eight lanes, a barrier costs dearly, and a load costs as
    /// much as many multiplications, so each thread holds as much as it can. Measured on lavapipe.
    pub const CPU: Tuning = Tuning {
        row_threads: 8,
        row_is_subgroup: false,
        max_parallel_fused: 1,
        max_sequential_fused: 1,
        linear: TokenTile { tokens: 8, vec4s: 4, col_threads: 1, unroll: 1, sharing: Sharing::Direct },
        linear_grad: TokenTile { tokens: 8, vec4s: 8, col_threads: 1, unroll: 1, sharing: Sharing::Direct },
        linear_weight_grad: WeightTile { col_threads: 8, row_threads: 1, cols: 4, vec4s: 4, unroll: 2, sharing: Sharing::Direct },
        attention: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
        attention_query_grad: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
        attention_key_value_grad: HeadTile { tokens: 8, vec4s: 64, unroll: 2, sharing: Sharing::Direct },
    };

    /// The same where the eight lanes are a subgroup: it reads eight values in the time of one. Measured on lavapipe of Mesa 25.0 and 26.1.
    pub const CPU_SUBGROUP: Tuning = Tuning {
        row_threads: 8,
        row_is_subgroup: true,
        max_parallel_fused: 1,
        max_sequential_fused: 1,
        linear: TokenTile { tokens: 8, vec4s: 8, col_threads: 1, unroll: 1, sharing: Sharing::Subgroup(8) },
        linear_grad: TokenTile { tokens: 8, vec4s: 8, col_threads: 1, unroll: 1, sharing: Sharing::Subgroup(8) },
        linear_weight_grad: WeightTile { col_threads: 8, row_threads: 1, cols: 2, vec4s: 16, unroll: 4, sharing: Sharing::Subgroup(8) },
        attention: HeadTile { tokens: 8, vec4s: 64, unroll: 8, sharing: Sharing::Subgroup(8) },
        attention_query_grad: HeadTile { tokens: 8, vec4s: 64, unroll: 1, sharing: Sharing::Subgroup(8) },
        attention_key_value_grad: HeadTile { tokens: 4, vec4s: 32, unroll: 2, sharing: Sharing::Subgroup(8) },
    };

    /// The same for older lavapipes, where a load costs several times as much: tiles as long as the instruction cache allows. Newer ones gain
    /// nothing by these, and take 1.6 times as long to compile them. Measured with Mesa 22.3.
    pub const CPU_SUBGROUP_LONG: Tuning = Tuning {
        linear: TokenTile { vec4s: 20, ..Tuning::CPU_SUBGROUP.linear },
        linear_grad: TokenTile { vec4s: 16, ..Tuning::CPU_SUBGROUP.linear_grad },
        ..Tuning::CPU_SUBGROUP
    };

    /// For a driver with vectors of four lanes, where each word that is loaded is a hundred instructions: SwiftShader. A loop's body has to
    /// stay in the instruction cache, and the compiler's time grows with the square of its length.
    pub const SMALL_CPU: Tuning = Tuning {
        row_threads: 4,
        row_is_subgroup: false,
        max_parallel_fused: 1,
        max_sequential_fused: 1,
        linear: TokenTile { tokens: 8, vec4s: 2, col_threads: 1, unroll: 1, sharing: Sharing::Direct },
        linear_grad: TokenTile { tokens: 8, vec4s: 2, col_threads: 1, unroll: 1, sharing: Sharing::Direct },
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
        assert_eq!([1, 4, 8, 32].map(|head| Tuning::GPU.attention.tokens_of(head)), [2, 2, 2, 1]);
    }
}
