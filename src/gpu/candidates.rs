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

/// How threads share, the registers of a thread in groups of four, and the sizes: tokens, groups of four columns and threads along the
/// columns of a matrix; threads along the columns and the rows, groups of columns and of rows, and tokens at once of a weight's gradient;
/// tokens of a head.
type Sizes = (Sharing, u32, [u32; 5]);

const TOKEN_TILES: [Sizes; 10] = [
    (Sharing::Workgroup, 8, [8, 1, 8, 0, 0]),
    (Sharing::Workgroup, 8, [4, 2, 8, 0, 0]),
    (Sharing::Workgroup, 16, [8, 2, 8, 0, 0]),
    (Sharing::Workgroup, 4, [4, 1, 16, 0, 0]),
    (Sharing::Workgroup, 8, [4, 2, 16, 0, 0]),
    (Sharing::Direct, 8, [2, 4, 1, 0, 0]),
    (Sharing::Direct, 16, [4, 4, 1, 0, 0]),
    (Sharing::Direct, 32, [8, 4, 1, 0, 0]),
    (Sharing::Direct, 32, [16, 2, 1, 0, 0]),
    (Sharing::Direct, 64, [8, 8, 1, 0, 0]),
];

const WEIGHT_TILES: [Sizes; 9] = [
    (Sharing::Workgroup, 8, [8, 8, 1, 2, 1]),
    (Sharing::Workgroup, 16, [8, 8, 2, 2, 1]),
    (Sharing::Workgroup, 4, [16, 16, 1, 1, 1]),
    (Sharing::Workgroup, 4, [8, 8, 1, 1, 1]),
    (Sharing::Direct, 16, [32, 1, 1, 4, 1]),
    (Sharing::Direct, 8, [32, 1, 1, 2, 2]),
    (Sharing::Direct, 32, [8, 1, 2, 4, 2]),
    (Sharing::Direct, 64, [4, 1, 4, 4, 1]),
    (Sharing::Direct, 64, [8, 1, 2, 8, 2]),
];

const HEAD_TILES: [Sizes; 5] = [
    (Sharing::Workgroup, 16, [1, 16, 0, 0, 0]),
    (Sharing::Workgroup, 32, [4, 32, 0, 0, 0]),
    (Sharing::Direct, 8, [1, 16, 0, 0, 0]),
    (Sharing::Direct, 16, [2, 16, 0, 0, 0]),
    (Sharing::Direct, 32, [4, 32, 0, 0, 0]),
];

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
        let is_likely = |&(sharing, registers, _): &Sizes| match sharing {
            Sharing::Workgroup => !on_cpu,
            Sharing::Direct if on_cpu => registers >= 16 && subgroup_lanes.is_none(),
            Sharing::Direct => registers <= 16,
            Sharing::Subgroup(_) => true,
        };
        let listed: &[Sizes] = match knob {
            Knob::Linear | Knob::LinearGrad => &TOKEN_TILES,
            Knob::LinearWeightGrad => &WEIGHT_TILES,
            Knob::Attention | Knob::AttentionQueryGrad | Knob::AttentionKeyValueGrad => &HEAD_TILES,
        };
        let mut sizes: Vec<Sizes> = listed.iter().copied().filter(is_likely).collect();
        sizes.extend(subgroup_lanes.into_iter().flat_map(|lanes| by_subgroup(knob, lanes)));
        let all = sizes.into_iter().map(|sizes| self.with(knob, &self.sized(sizes)));
        all.filter(|tuning| *tuning != self).collect()
    }

    /// The same with those sizes in every kernel: of use for the one to which they belong.
    fn sized(self, (sharing, _, [a, b, c, d, e]): Sizes) -> Tuning {
        let matrix = TokenTile { tokens: a, vec4s: b, col_lanes: c, sharing };
        let head = HeadTile { tokens: a, vec4s: b, sharing };
        Tuning {
            linear: matrix,
            linear_grad: matrix,
            linear_weight_grad: WeightTile { lanes: a, row_lanes: b, cols: c, vec4s: d, at_once: e, sharing },
            attention: head,
            attention_query_grad: head,
            attention_key_value_grad: head,
            ..self
        }
    }
}

/// Sizes where a subgroup of so many threads shares. What it reads of a matrix at once is a row for each thread, or four columns.
fn by_subgroup(knob: Knob, lanes: u32) -> Vec<Sizes> {
    let most = 64 / lanes;
    let sizes: Vec<[u32; 5]> = match knob {
        Knob::Linear | Knob::LinearGrad => {
            let once = if knob == Knob::LinearGrad { lanes } else { lanes.div_ceil(4) };
            let tiles = [[most, once], [most, 2 * once], [most / 2, 2 * once], [most / 2, 16u32.next_multiple_of(once)]];
            let fits = tiles.into_iter().filter(|&[tokens, vec4s]| tokens > 0 && tokens * vec4s <= 64);
            fits.map(|[tokens, vec4s]| [tokens, vec4s, 1, 0, 0]).collect()
        }
        Knob::LinearWeightGrad => vec![[lanes, 1, 1, lanes, 1], [lanes, 1, 2, lanes, 2], [lanes, 1, 2, 2 * lanes, 2]],
        Knob::Attention | Knob::AttentionQueryGrad | Knob::AttentionKeyValueGrad => {
            [most, most / 2].into_iter().filter(|&tokens| tokens > 0).map(|tokens| [tokens, 8 * tokens, 0, 0, 0]).collect()
        }
    };
    sizes.into_iter().map(|sizes| (Sharing::Subgroup(lanes), 0, sizes)).collect()
}
