//! Candidates of tuning: tile sizes worth trying on an adapter, besides those of its class.

use super::device::Gpu;
use super::tuning::{HeadTile, Sharing, TokenTile, Tuning, WeightTile};
use crate::step::{OpKind, TOKEN_TILE};

/// A tunable operation: one whose kernel has several tile sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunableOp {
    /// [`Tuning::linear`].
    Linear,
    /// [`Tuning::linear_grad`].
    LinearGrad,
    /// [`Tuning::linear_weight_grad`].
    LinearWeightGrad,
    /// [`Tuning::attention`].
    Attention,
    /// [`Tuning::attention_query_grad`].
    AttentionQueryGrad,
    /// [`Tuning::attention_key_value_grad`].
    AttentionKeyValueGrad,
}

impl TunableOp {
    /// All tunable operations.
    pub const ALL: [TunableOp; 6] = [
        TunableOp::Linear,
        TunableOp::LinearGrad,
        TunableOp::LinearWeightGrad,
        TunableOp::Attention,
        TunableOp::AttentionQueryGrad,
        TunableOp::AttentionKeyValueGrad,
    ];

    /// The kind of the operation.
    pub fn op(self) -> OpKind {
        match self {
            TunableOp::Linear => OpKind::Linear,
            TunableOp::LinearGrad => OpKind::LinearGrad,
            TunableOp::LinearWeightGrad => OpKind::LinearWeightGrad,
            TunableOp::Attention => OpKind::Attention,
            TunableOp::AttentionQueryGrad => OpKind::AttentionQueryGrad,
            TunableOp::AttentionKeyValueGrad => OpKind::AttentionKeyValueGrad,
        }
    }
}

const TOKEN_TILES: [TokenTile; 11] = [
    token_tile(Sharing::Workgroup, 8, 1, 16),
    token_tile(Sharing::Workgroup, 8, 2, 8),
    token_tile(Sharing::Workgroup, 8, 1, 8),
    token_tile(Sharing::Workgroup, 4, 2, 8),
    token_tile(Sharing::Workgroup, 4, 1, 8),
    token_tile(Sharing::Direct, 2, 4, 1),
    token_tile(Sharing::Direct, 4, 4, 1),
    token_tile(Sharing::Direct, 8, 2, 1),
    token_tile(Sharing::Direct, 8, 4, 1),
    token_tile(Sharing::Direct, 16, 2, 1),
    token_tile(Sharing::Direct, 8, 8, 1),
];

const WEIGHT_TILES: [WeightTile; 9] = [
    weight_tile(Sharing::Workgroup, [8, 8], 1, 2, 1),
    weight_tile(Sharing::Workgroup, [16, 16], 1, 1, 1),
    weight_tile(Sharing::Workgroup, [8, 16], 1, 1, 1),
    weight_tile(Sharing::Workgroup, [8, 16], 2, 1, 1),
    weight_tile(Sharing::Direct, [32, 1], 1, 4, 1),
    weight_tile(Sharing::Direct, [32, 1], 1, 2, 2),
    weight_tile(Sharing::Direct, [8, 1], 2, 4, 2),
    weight_tile(Sharing::Direct, [4, 1], 4, 4, 1),
    weight_tile(Sharing::Direct, [8, 1], 2, 8, 2),
];

const HEAD_TILES: [HeadTile; 5] = [
    head_tile(Sharing::Workgroup, 1, 1),
    head_tile(Sharing::Workgroup, 2, 1),
    head_tile(Sharing::Direct, 1, 2),
    head_tile(Sharing::Direct, 2, 2),
    head_tile(Sharing::Direct, 4, 1),
];

const fn token_tile(sharing: Sharing, tokens: u32, vec4s: u32, col_threads: u32) -> TokenTile {
    TokenTile { tokens, vec4s, col_threads, unroll: 1, sharing, tile_tokens: TOKEN_TILE }
}

const fn weight_tile(sharing: Sharing, [col_threads, row_threads]: [u32; 2], cols: u32, vec4s: u32, unroll: u32) -> WeightTile {
    WeightTile { col_threads, row_threads, cols, vec4s, unroll, sharing }
}

/// A tile with registers for all tokens of a head of 32 columns, and for one token of a head of 64.
const fn head_tile(sharing: Sharing, tokens: u32, unroll: u32) -> HeadTile {
    HeadTile { tokens, vec4s: if tokens == 1 { 16 } else { 8 * tokens }, unroll, sharing }
}

impl Gpu {
    /// Tunings worth trying on this device, besides its own.
    pub fn candidates(&self, tunable: TunableOp) -> Vec<Tuning> {
        self.tuning().candidates(tunable, self.subgroup_size())
    }
}

impl Tuning {
    /// The same with the tile of one operation from another tuning.
    pub fn with(mut self, tunable: TunableOp, other: &Tuning) -> Tuning {
        match tunable {
            TunableOp::Linear => self.linear = other.linear,
            TunableOp::LinearGrad => self.linear_grad = other.linear_grad,
            TunableOp::LinearWeightGrad => self.linear_weight_grad = other.linear_weight_grad,
            TunableOp::Attention => self.attention = other.attention,
            TunableOp::AttentionQueryGrad => self.attention_query_grad = other.attention_query_grad,
            TunableOp::AttentionKeyValueGrad => self.attention_key_value_grad = other.attention_key_value_grad,
        }
        self
    }

    /// Tunings that differ from this one in one operation. `subgroup_size` is the number of threads of a subgroup, if kernels can rely on
    /// it.
    pub fn candidates(self, tunable: TunableOp, subgroup_size: Option<u32>) -> Vec<Tuning> {
        let mut candidates = Vec::new();
        let mut add = |other: &Tuning| {
            let candidate = self.with(tunable, other);
            if candidate != self && !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        };
        LISTED.iter().filter(|other| self.is_likely(other.sharing_and_registers(tunable), subgroup_size.is_some())).for_each(&mut add);
        subgroup_size.map_or_else(Vec::new, by_subgroup).iter().for_each(add);
        candidates
    }

    /// Prunes candidates: on an adapter that runs on a CPU, whose compiler is slow, kernels with barriers are not worth trying; on other
    /// adapters, kernels with many registers.
    fn is_likely(&self, (sharing, registers): (Sharing, u32), has_subgroups: bool) -> bool {
        match sharing {
            Sharing::Workgroup => !self.is_for_cpu(),
            // Code that exceeds the instruction cache is slow to run and to compile. Long load sequences reach that limit sooner.
            Sharing::Direct if self.is_for_cpu() => (16..=8 * self.row_threads).contains(&registers) && !has_subgroups,
            Sharing::Direct => registers <= 16,
            Sharing::Subgroup(_) => true,
        }
    }

    /// How a kernel's threads share operands, and how many groups of four each thread accumulates (in attention, for a head of 32 columns).
    fn sharing_and_registers(&self, tunable: TunableOp) -> (Sharing, u32) {
        let weight = self.linear_weight_grad;
        let of_tokens = |tile: TokenTile| (tile.sharing, tile.tokens * tile.vec4s);
        let of_head = |tile: HeadTile| (tile.sharing, 8 * tile.tokens);
        match tunable {
            TunableOp::Linear => of_tokens(self.linear),
            TunableOp::LinearGrad => of_tokens(self.linear_grad),
            TunableOp::LinearWeightGrad => (weight.sharing, 4 * weight.cols * weight.vec4s),
            TunableOp::Attention => of_head(self.attention),
            TunableOp::AttentionQueryGrad => of_head(self.attention_query_grad),
            TunableOp::AttentionKeyValueGrad => of_head(self.attention_key_value_grad),
        }
    }
}

/// The listed tiles as tunings, of which each operation's tile is worth trying.
const LISTED: [Tuning; TOKEN_TILES.len()] = {
    let mut listed = [Tuning::GPU; TOKEN_TILES.len()];
    let mut i = 0;
    while i < listed.len() {
        let tiles = (TOKEN_TILES[i], WEIGHT_TILES[i % WEIGHT_TILES.len()], HEAD_TILES[i % HEAD_TILES.len()]);
        listed[i] = of_tiles([tiles.0; 2], tiles.1, [tiles.2; 3]);
        i += 1;
    }
    listed
};

const fn of_tiles(tokens: [TokenTile; 2], weights: WeightTile, heads: [HeadTile; 3]) -> Tuning {
    Tuning {
        linear: tokens[0],
        linear_grad: tokens[1],
        linear_weight_grad: weights,
        attention: heads[0],
        attention_query_grad: heads[1],
        attention_key_value_grad: heads[2],
        ..Tuning::GPU
    }
}

/// Candidates with subgroups of `size` threads.
fn by_subgroup(size: u32) -> Vec<Tuning> {
    let (sharing, most) = (Sharing::Subgroup(size), (64 / size).max(1));
    let sizes = |i: usize| (if i % 4 < 2 { most } else { (most / 2).max(1) }, [1, 2][i / 4]);
    let tuning = |i: usize| {
        let (tokens, unroll) = sizes(i);
        // A subgroup loads one row of a matrix, or four columns, per thread.
        let tile = |once: u32| {
            let vec4s = [once, 2 * once, 2 * once, 16u32.next_multiple_of(once)][i % 4];
            TokenTile { unroll, vec4s: if tokens * vec4s <= 64 { vec4s } else { once }, ..token_tile(sharing, tokens, once, 1) }
        };
        let (cols, vec4s) = [(1, size), (2, size), (2, 2 * size)][i % 3];
        // In the forward pass a thread processes everything that its subgroup loaded in one iteration.
        let head = |unroll| head_tile(sharing, tokens, unroll);
        let backward = head(unroll.min(size));
        of_tiles([tile(size.div_ceil(4)), tile(size)], weight_tile(sharing, [size, 1], cols, vec4s, cols), [head(size), backward, backward])
    };
    (0..8).map(tuning).collect()
}
