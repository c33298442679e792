//! How a model is trained, and how its values lie on the device.

use super::Config;
use crate::error::{Error, Result};

/// A model as it is trained: its sizes, which of its parameters learn, and how the others lie.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ModelSpec {
    /// Its sizes.
    pub config: Config,
    /// What learns.
    pub training: Training,
    /// Bytes of a tensor at most: a larger matrix is cut by rows into several.
    pub max_slice_bytes: u64,
}

/// What learns.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Training {
    /// Every parameter, in f32.
    Full,
    /// Low-rank adapters of some projections; everything else is frozen.
    Lora {
        /// The adapters.
        lora: Lora,
        /// How frozen matrices lie.
        frozen: Dtype,
    },
}

/// Low-rank adapters, as PEFT has them: `out = weight · x + scale · B · (A · x)`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Lora {
    /// Rows of every A, columns of every B.
    pub rank: u32,
    /// What the adapters' share is multiplied by, before it is divided by the rank.
    pub alpha: f64,
    /// Is it divided by the rank's root instead?
    pub use_rslora: bool,
    /// Which projections have adapters.
    pub targets: Vec<Projection>,
}

/// A matrix inside a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Projection {
    /// `q_proj` (H·E×D).
    Query,
    /// `k_proj` (K·E×D).
    Key,
    /// `v_proj` (K·E×D).
    Value,
    /// `o_proj` (D×H·E).
    Output,
    /// `gate_proj` (F×D).
    Gate,
    /// `up_proj` (F×D).
    Up,
    /// `down_proj` (D×F).
    Down,
}

/// How a number lies on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Dtype {
    /// Four bytes.
    F32,
    /// Two bytes, IEEE's half precision.
    F16,
    /// Two bytes, the upper half of an f32.
    Bf16,
    /// A byte each, and a scale for every 32 of a row.
    Int8,
}

/// Bytes that base WebGPU promises for one binding.
pub const BINDING_BYTES: u64 = 128 << 20;
/// The most that a rank may be.
const MAX_RANK: u32 = 1 << 12;

impl From<&Config> for ModelSpec {
    fn from(config: &Config) -> Self {
        ModelSpec { config: config.clone(), training: Training::Full, max_slice_bytes: BINDING_BYTES }
    }
}

impl From<&ModelSpec> for ModelSpec {
    fn from(spec: &ModelSpec) -> Self {
        spec.clone()
    }
}

impl ModelSpec {
    /// A model whose adapters learn.
    ///
    /// # Errors
    /// [`Error::Setting`] if the adapters make no sense.
    pub fn lora(config: &Config, mut lora: Lora, frozen: Dtype) -> Result<Self> {
        lora.targets.sort_unstable();
        lora.targets.dedup();
        if !(1..=MAX_RANK).contains(&lora.rank) {
            return Err(Error::Setting(format!("the rank of the adapters is {}; it must lie between 1 and {MAX_RANK}", lora.rank)));
        }
        if !(lora.alpha.is_finite() && lora.alpha > 0.0) {
            return Err(Error::Setting(format!("the alpha of the adapters is {}; it must be a positive number", lora.alpha)));
        }
        if lora.targets.is_empty() {
            let all = Projection::ALL.map(Projection::name).join(", ");
            return Err(Error::Setting(format!("no projection gets an adapter; name some of {all}")));
        }
        Ok(ModelSpec { config: config.clone(), training: Training::Lora { lora, frozen }, max_slice_bytes: BINDING_BYTES })
    }

    /// The adapters, if it has some.
    pub fn adapters(&self) -> Option<&Lora> {
        match &self.training {
            Training::Full => None,
            Training::Lora { lora, .. } => Some(lora),
        }
    }
}

impl Lora {
    /// What `B · (A · x)` is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = f64::from(self.rank);
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

impl Projection {
    /// All of them, in the order in which a layer uses them.
    pub const ALL: [Projection; 7] =
        [Projection::Query, Projection::Key, Projection::Value, Projection::Output, Projection::Gate, Projection::Up, Projection::Down];

    /// Its name in the model.
    pub fn name(self) -> &'static str {
        match self {
            Projection::Query => "q_proj",
            Projection::Key => "k_proj",
            Projection::Value => "v_proj",
            Projection::Output => "o_proj",
            Projection::Gate => "gate_proj",
            Projection::Up => "up_proj",
            Projection::Down => "down_proj",
        }
    }

    /// The part of the layer that it is in.
    pub fn module(self) -> &'static str {
        match self {
            Projection::Gate | Projection::Up | Projection::Down => "mlp",
            _ => "self_attn",
        }
    }

    /// The projection of that name.
    pub fn named(name: &str) -> Option<Projection> {
        Projection::ALL.into_iter().find(|projection| projection.name() == name)
    }
}
