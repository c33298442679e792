//! Sizes of tiles, by class of adapter. Never by the length of a chunk: one kernel serves all chunks, so that all give the
//! same bits.

/// The sizes that a device's kernels are written out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Threads that share a row where a row is summed up.
    pub row_lanes: u32,
    /// Tile of [`Op::Linear`](crate::step::Op::Linear).
    pub linear: TokenTile,
    /// Tile of [`Op::LinearGrad`](crate::step::Op::LinearGrad).
    pub linear_grad: TokenTile,
    /// Tile of [`Op::LinearWeightGrad`](crate::step::Op::LinearWeightGrad).
    pub linear_weight_grad: WeightTile,
    /// Tile of the attention kernels.
    pub attention: HeadTile,
}

/// A workgroup has a token tile; a thread so many of its tokens, and so many groups of four columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTile {
    /// Tokens of a thread: a divisor of the token tile.
    pub tokens: u32,
    /// Groups of four columns of a thread.
    pub vec4s: u32,
}

/// A thread has so many groups of four rows, and so many groups of four columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightTile {
    /// Threads of a workgroup; neighbours have neighbouring columns.
    pub lanes: u32,
    /// Groups of four columns of a thread.
    pub cols: u32,
    /// Groups of four rows of a thread.
    pub vec4s: u32,
}

/// A thread has so many tokens of one head, fewer where a head is wide, and one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadTile {
    /// Tokens of a thread at most.
    pub tokens: u32,
    /// Groups of four columns of all its tokens at most.
    pub vec4s: u32,
}

impl HeadTile {
    /// Tokens of a thread for heads of so many groups of four columns: a power of two.
    pub(super) fn tokens_of(self, head_vec4s: u32) -> u32 {
        1 << (self.vec4s / head_vec4s).clamp(1, self.tokens).ilog2()
    }
}

impl Tuning {
    /// For GPUs: few registers a thread, many threads.
    pub const GPU: Tuning = Tuning {
        row_lanes: 64,
        linear: TokenTile { tokens: 2, vec4s: 4 },
        linear_grad: TokenTile { tokens: 2, vec4s: 4 },
        linear_weight_grad: WeightTile { lanes: 32, cols: 1, vec4s: 4 },
        attention: HeadTile { tokens: 2, vec4s: 8 },
    };

    /// For drivers that run on a CPU: a workgroup is one vector of eight lanes, a barrier costs dearly, and a load costs as
    /// much as four multiplications, so each thread holds as much as it can. Measured on lavapipe.
    pub const CPU: Tuning = Tuning {
        row_lanes: 8,
        linear: TokenTile { tokens: 8, vec4s: 4 },
        linear_grad: TokenTile { tokens: 8, vec4s: 8 },
        linear_weight_grad: WeightTile { lanes: 8, cols: 4, vec4s: 4 },
        attention: HeadTile { tokens: 8, vec4s: 64 },
    };

    /// The same for a driver with vectors of four lanes, whose compiler takes a time that grows with the square of a shader's
    /// length: with the tiles above SwiftShader compiles for minutes, with these for a second.
    pub const SMALL_CPU: Tuning = Tuning {
        row_lanes: 4,
        linear: TokenTile { tokens: 4, vec4s: 4 },
        linear_grad: TokenTile { tokens: 4, vec4s: 4 },
        linear_weight_grad: WeightTile { lanes: 4, cols: 2, vec4s: 4 },
        attention: HeadTile { tokens: 2, vec4s: 16 },
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_attention_holds_what_fits() {
        assert_eq!([1, 3, 8, 9, 16, 64, 65].map(|head| Tuning::CPU.attention.tokens_of(head)), [8, 8, 8, 4, 4, 1, 1]);
        assert_eq!([1, 4, 8, 32].map(|head| Tuning::GPU.attention.tokens_of(head)), [2, 2, 1, 1]);
    }
}
