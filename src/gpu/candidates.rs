//! Other kernels than those of an adapter's class that are worth trying on it.

use super::device::Gpu;
use super::tuning::{HeadTile, Sharing, TokenTile, Tuning, WeightTile};
use crate::step::OpKind;

/// An operation whose kernel comes in several sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
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

impl Knob {
    /// All of them.
    pub const ALL: [Knob; 6] =
        [Knob::Linear, Knob::LinearGrad, Knob::LinearWeightGrad, Knob::Attention, Knob::AttentionQueryGrad, Knob::AttentionKeyValueGrad];

    /// The operation.
    pub fn op(self) -> OpKind {
        match self {
            Knob::Linear => OpKind::Linear,
            Knob::LinearGrad => OpKind::LinearGrad,
            Knob::LinearWeightGrad => OpKind::LinearWeightGrad,
            Knob::Attention => OpKind::Attention,
            Knob::AttentionQueryGrad => OpKind::AttentionQueryGrad,
            Knob::AttentionKeyValueGrad => OpKind::AttentionKeyValueGrad,
        }
    }
}

const TOKEN_TILES: [TokenTile; 11] = [
    token_tile(Sharing::Workgroup, 8, 1, 8),
    token_tile(Sharing::Workgroup, 4, 2, 8),
    token_tile(Sharing::Workgroup, 8, 2, 8),
    token_tile(Sharing::Workgroup, 4, 1, 16),
    token_tile(Sharing::Workgroup, 4, 2, 16),
    token_tile(Sharing::Direct, 2, 4, 1),
    token_tile(Sharing::Direct, 4, 4, 1),
    token_tile(Sharing::Direct, 8, 2, 1),
    token_tile(Sharing::Direct, 8, 4, 1),
    token_tile(Sharing::Direct, 16, 2, 1),
    token_tile(Sharing::Direct, 8, 8, 1),
];

const WEIGHT_TILES: [WeightTile; 9] = [
    weight_tile(Sharing::Workgroup, [8, 8], 1, 2, 1),
    weight_tile(Sharing::Workgroup, [8, 8], 2, 2, 1),
    weight_tile(Sharing::Workgroup, [16, 16], 1, 1, 1),
    weight_tile(Sharing::Workgroup, [8, 8], 1, 1, 1),
    weight_tile(Sharing::Direct, [32, 1], 1, 4, 1),
    weight_tile(Sharing::Direct, [32, 1], 1, 2, 2),
    weight_tile(Sharing::Direct, [8, 1], 2, 4, 2),
    weight_tile(Sharing::Direct, [4, 1], 4, 4, 1),
    weight_tile(Sharing::Direct, [8, 1], 2, 8, 2),
];

const HEAD_TILES: [HeadTile; 5] = [
    head_tile(Sharing::Workgroup, 1),
    head_tile(Sharing::Workgroup, 4),
    head_tile(Sharing::Direct, 1),
    head_tile(Sharing::Direct, 2),
    head_tile(Sharing::Direct, 4),
];

const fn token_tile(sharing: Sharing, tokens: u32, vec4s: u32, col_lanes: u32) -> TokenTile {
    TokenTile { tokens, vec4s, col_lanes, sharing }
}

const fn weight_tile(sharing: Sharing, [lanes, row_lanes]: [u32; 2], cols: u32, vec4s: u32, at_once: u32) -> WeightTile {
    WeightTile { lanes, row_lanes, cols, vec4s, at_once, sharing }
}

/// With registers for all tokens of a head of 32 columns, and for one of 64.
const fn head_tile(sharing: Sharing, tokens: u32) -> HeadTile {
    HeadTile { tokens, vec4s: if tokens == 1 { 16 } else { 8 * tokens }, sharing }
}

impl Gpu {
    /// Tunings that are worth a try on the device beside its own.
    pub fn candidates(&self, knob: Knob) -> Vec<Tuning> {
        self.tuning().candidates(knob, self.subgroup_lanes())
    }
}

impl Tuning {
    /// The same with one operation's kernel from another tuning.
    pub fn with(mut self, knob: Knob, other: &Tuning) -> Tuning {
        match knob {
            Knob::Linear => self.linear = other.linear,
            Knob::LinearGrad => self.linear_grad = other.linear_grad,
            Knob::LinearWeightGrad => self.linear_weight_grad = other.linear_weight_grad,
            Knob::Attention => self.attention = other.attention,
            Knob::AttentionQueryGrad => self.attention_query_grad = other.attention_query_grad,
            Knob::AttentionKeyValueGrad => self.attention_key_value_grad = other.attention_key_value_grad,
        }
        self
    }

    /// Tunings that differ from this one in one operation; `subgroup_lanes` is how many threads a subgroup has, if kernels can rely on it.
    /// On an adapter that runs on a CPU, whose compiler is slow, what needs a barrier is not worth a try, and on others not what needs many
    /// registers.
    pub fn candidates(self, knob: Knob, subgroup_lanes: Option<u32>) -> Vec<Tuning> {
        let on_cpu = self.is_for_cpu();
        let is_likely = |sharing: Sharing, registers: u32| match sharing {
            Sharing::Workgroup => !on_cpu,
            Sharing::Direct if on_cpu => registers >= 16 && subgroup_lanes.is_none(),
            Sharing::Direct => registers <= 16,
            Sharing::Subgroup(_) => true,
        };
        let all: Vec<Tuning> = match knob {
            Knob::Linear | Knob::LinearGrad => {
                let listed = TOKEN_TILES.into_iter().filter(|tile| is_likely(tile.sharing, tile.tokens * tile.vec4s));
                let shared = subgroup_lanes.into_iter().flat_map(|lanes| token_tiles_by_subgroup(lanes, knob));
                listed.chain(shared).map(|tile| Tuning { linear: tile, linear_grad: tile, ..self }).collect()
            }
            Knob::LinearWeightGrad => {
                let listed = WEIGHT_TILES.into_iter().filter(|tile| is_likely(tile.sharing, 4 * tile.cols * tile.vec4s));
                let shared = subgroup_lanes.into_iter().flat_map(weight_tiles_by_subgroup);
                listed.chain(shared).map(|tile| Tuning { linear_weight_grad: tile, ..self }).collect()
            }
            Knob::Attention | Knob::AttentionQueryGrad | Knob::AttentionKeyValueGrad => {
                // Registers as a head of 32 columns has them.
                let listed = HEAD_TILES.into_iter().filter(|tile| is_likely(tile.sharing, 8 * tile.tokens));
                let shared = subgroup_lanes.into_iter().flat_map(head_tiles_by_subgroup);
                let with = |tile| Tuning { attention: tile, attention_query_grad: tile, attention_key_value_grad: tile, ..self };
                listed.chain(shared).map(with).collect()
            }
        };
        all.iter().map(|other| self.with(knob, other)).filter(|tuning| *tuning != self).collect()
    }
}

/// What a subgroup of so many threads reads of a matrix at once is a row for each thread, or four columns.
fn token_tiles_by_subgroup(lanes: u32, knob: Knob) -> Vec<TokenTile> {
    let most = 64 / lanes;
    let once = if knob == Knob::LinearGrad { lanes } else { lanes.div_ceil(4) };
    let sizes = [(most, once), (most, 2 * once), (most / 2, 2 * once), (most / 2, 16u32.next_multiple_of(once))];
    let fits = sizes.into_iter().filter(|&(tokens, vec4s)| tokens > 0 && tokens * vec4s <= 64);
    fits.map(|(tokens, vec4s)| token_tile(Sharing::Subgroup(lanes), tokens, vec4s, 1)).collect()
}

fn weight_tiles_by_subgroup(lanes: u32) -> Vec<WeightTile> {
    let sizes = [(1, lanes, 1), (2, lanes, 2), (2, 2 * lanes, 2)];
    sizes.map(|(cols, vec4s, at_once)| weight_tile(Sharing::Subgroup(lanes), [lanes, 1], cols, vec4s, at_once)).to_vec()
}

fn head_tiles_by_subgroup(lanes: u32) -> Vec<HeadTile> {
    let most = 64 / lanes;
    let tokens = [most, most / 2].into_iter().filter(|&tokens| tokens > 0);
    tokens.map(|tokens| HeadTile { tokens, vec4s: 8 * tokens, sharing: Sharing::Subgroup(lanes) }).collect()
}
