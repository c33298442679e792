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

impl Tuning {
    /// The same with one operation's kernel from another tuning.
    pub fn with(self, knob: Knob, other: &Tuning) -> Tuning {
        match knob {
            Knob::Linear => Tuning { linear: other.linear, ..self },
            Knob::LinearGrad => Tuning { linear_grad: other.linear_grad, ..self },
            Knob::LinearWeightGrad => Tuning { linear_weight_grad: other.linear_weight_grad, ..self },
            Knob::Attention => Tuning { attention: other.attention, ..self },
            Knob::AttentionQueryGrad => Tuning { attention_query_grad: other.attention_query_grad, ..self },
            Knob::AttentionKeyValueGrad => Tuning { attention_key_value_grad: other.attention_key_value_grad, ..self },
        }
    }
}

/// Tokens, groups of four columns and threads along the columns of a thread's tile.
const TOKEN_TILES: [(Sharing, [u32; 3]); 10] = [
    (Sharing::Workgroup, [8, 1, 8]),
    (Sharing::Workgroup, [4, 2, 8]),
    (Sharing::Workgroup, [8, 2, 8]),
    (Sharing::Workgroup, [4, 1, 16]),
    (Sharing::Workgroup, [4, 2, 16]),
    (Sharing::Direct, [2, 4, 1]),
    (Sharing::Direct, [4, 4, 1]),
    (Sharing::Direct, [8, 4, 1]),
    (Sharing::Direct, [16, 2, 1]),
    (Sharing::Direct, [8, 8, 1]),
];

/// Threads along the columns and the rows, groups of columns and of rows, and tokens at once.
const WEIGHT_TILES: [(Sharing, [u32; 5]); 9] = [
    (Sharing::Workgroup, [8, 8, 1, 2, 1]),
    (Sharing::Workgroup, [8, 8, 2, 2, 1]),
    (Sharing::Workgroup, [16, 16, 1, 1, 1]),
    (Sharing::Workgroup, [8, 8, 1, 1, 1]),
    (Sharing::Direct, [32, 1, 1, 4, 1]),
    (Sharing::Direct, [32, 1, 1, 2, 2]),
    (Sharing::Direct, [8, 1, 2, 4, 2]),
    (Sharing::Direct, [4, 1, 4, 4, 1]),
    (Sharing::Direct, [8, 1, 2, 8, 2]),
];

/// Tokens of a thread, and groups of four columns of all of them.
const HEAD_TILES: [(Sharing, [u32; 2]); 6] = [
    (Sharing::Workgroup, [1, 16]),
    (Sharing::Workgroup, [4, 32]),
    (Sharing::Direct, [1, 16]),
    (Sharing::Direct, [2, 16]),
    (Sharing::Direct, [4, 32]),
    (Sharing::Direct, [8, 64]),
];

impl Gpu {
    /// Tunings that are worth a try on the device beside its own.
    pub fn candidates(&self, knob: Knob) -> Vec<Tuning> {
        self.tuning().candidates(knob, self.subgroup_lanes())
    }
}

impl Tuning {
    /// Tunings that differ from this one in one operation; `subgroup_lanes` is how many threads a subgroup has, if kernels can rely on it.
    /// On an adapter that runs on a CPU, whose compiler is slow, what needs a barrier is not worth a try, and on others not what needs many
    /// registers.
    pub fn candidates(self, knob: Knob, subgroup_lanes: Option<u32>) -> Vec<Tuning> {
        let own = self;
        let on_cpu = own.is_for_cpu();
        let is_likely = |sharing: Sharing, registers: u32| match sharing {
            Sharing::Workgroup => !on_cpu,
            Sharing::Direct if on_cpu => registers >= 16 && subgroup_lanes.is_none(),
            Sharing::Direct => registers <= 16,
            Sharing::Subgroup(_) => true,
        };
        let tokens = |wide: bool| {
            let listed = TOKEN_TILES.into_iter().filter(move |&(sharing, [tokens, vec4s, _])| is_likely(sharing, tokens * vec4s));
            let by_subgroup = subgroup_lanes.into_iter().flat_map(move |lanes| subgroup_token_tiles(lanes, wide));
            let tile = |(sharing, [tokens, vec4s, col_lanes]): (Sharing, [u32; 3])| TokenTile { tokens, vec4s, col_lanes, sharing };
            listed.chain(by_subgroup).map(tile)
        };
        let weights = || {
            let listed = WEIGHT_TILES.into_iter().filter(|&(sharing, [_, _, cols, vec4s, _])| is_likely(sharing, 4 * cols * vec4s));
            let by_subgroup = subgroup_lanes.into_iter().flat_map(|lanes| {
                [[lanes, 1, 1, lanes, 1], [lanes, 1, 2, lanes, 2], [lanes, 1, 2, 2 * lanes, 2]]
                    .map(|sizes| (Sharing::Subgroup(lanes), sizes))
            });
            let tile = |(sharing, [lanes, row_lanes, cols, vec4s, at_once]): (Sharing, [u32; 5])| WeightTile {
                lanes,
                row_lanes,
                cols,
                vec4s,
                at_once,
                sharing,
            };
            listed.chain(by_subgroup).map(tile)
        };
        let heads = || {
            let listed = HEAD_TILES.into_iter().filter(|&(sharing, [_, vec4s])| is_likely(sharing, vec4s));
            let most = subgroup_lanes.map(|lanes| (lanes, 64 / lanes));
            let by_subgroup = most.into_iter().flat_map(|(lanes, most)| {
                [most, most / 2].into_iter().filter(|&t| t > 0).map(move |t| (Sharing::Subgroup(lanes), [t, 8 * t]))
            });
            listed.chain(by_subgroup).map(|(sharing, [tokens, vec4s])| HeadTile { tokens, vec4s, sharing })
        };
        let all: Vec<Tuning> = match knob {
            Knob::Linear => tokens(false).map(|linear| Tuning { linear, ..own }).collect(),
            Knob::LinearGrad => tokens(true).map(|linear_grad| Tuning { linear_grad, ..own }).collect(),
            Knob::LinearWeightGrad => weights().map(|linear_weight_grad| Tuning { linear_weight_grad, ..own }).collect(),
            Knob::Attention => heads().map(|attention| Tuning { attention, ..own }).collect(),
            Knob::AttentionQueryGrad => heads().map(|attention_query_grad| Tuning { attention_query_grad, ..own }).collect(),
            Knob::AttentionKeyValueGrad => heads().map(|attention_key_value_grad| Tuning { attention_key_value_grad, ..own }).collect(),
        };
        all.into_iter().filter(|tuning| *tuning != own).collect()
    }
}

/// Tiles where a subgroup of so many threads reads as many rows of the matrix at once, or (`wide`) as many groups of four columns.
fn subgroup_token_tiles(lanes: u32, wide: bool) -> Vec<(Sharing, [u32; 3])> {
    let (once, most) = (if wide { lanes } else { lanes.div_ceil(4) }, 64 / lanes);
    let sizes = [[most, once], [most, 2 * once], [most / 2, 2 * once], [most / 2, 16u32.next_multiple_of(once)]];
    let fits = sizes.into_iter().filter(|&[tokens, vec4s]| tokens > 0 && tokens * vec4s <= 64);
    fits.map(|[tokens, vec4s]| (Sharing::Subgroup(lanes), [tokens, vec4s, 1])).collect()
}
