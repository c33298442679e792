//! The specification of a model for training: trainable parameters, LoRA adapters, and dtypes.

use super::{Config, Layers};
use crate::error::{Error, Result};

/// A model with its training: which parameters are trainable, and the dtype of the others.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ModelSpec {
    /// The model's configuration.
    pub config: Config,
    /// Which parameters are trainable.
    pub training: Training,
    /// The most bytes of a tensor. A larger matrix is split by rows into several slices.
    pub max_slice_bytes: u64,
    /// The dtype of activations.
    #[serde(default)]
    pub activation_dtype: ActivationDtype,
}

/// The dtype in which layer inputs, keys, values and other activations lie between operations. Gradients, the hidden state, statistics and
/// logits are f32, and so is whatever is added to in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ActivationDtype {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes: what an operation stores is rounded to the nearest bfloat16.
    Bf16,
}

/// Which parameters are trainable.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Training {
    /// Full fine-tuning: all parameters, in f32.
    Full,
    /// LoRA: adapters of some projections; everything else is frozen.
    Lora {
        /// The adapters.
        lora: Lora,
        /// The dtype of frozen matrices.
        frozen: Dtype,
    },
}

/// LoRA adapters (Hu et al. 2021), as in PEFT: `out = weight · x + scale · B · (A · x)`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Lora {
    /// The rank: rows of every A, columns of every B. PEFT's `r`.
    pub rank: u32,
    /// The numerator of the scale: PEFT's `lora_alpha`.
    pub alpha: f64,
    /// Is the scale `alpha / √rank` (rank-stabilised LoRA) instead of `alpha / rank`?
    pub use_rslora: bool,
    /// The projections that have adapters.
    pub targets: Vec<Projection>,
    /// The layers whose projections have adapters; all if `None`. PEFT's `layers_to_transform`.
    #[serde(default)]
    pub layers: Option<Layers>,
}

/// A projection of a layer, by its matrix (outputs×inputs).
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

/// The dtype of a parameter on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Dtype {
    /// IEEE single precision, four bytes.
    F32,
    /// IEEE half precision, two bytes.
    F16,
    /// bfloat16: the upper half of an f32, two bytes.
    Bf16,
    /// Signed bytes with an f32 scale for every 32 columns of a row.
    Int8,
}

/// The largest storage binding in bytes that base WebGPU guarantees.
pub const BINDING_BYTES: u64 = 128 << 20;
/// The largest rank.
const MAX_RANK: u32 = 1 << 12;

impl From<&Config> for ModelSpec {
    fn from(config: &Config) -> Self {
        ModelSpec {
            config: config.clone(),
            training: Training::Full,
            max_slice_bytes: BINDING_BYTES,
            activation_dtype: ActivationDtype::F32,
        }
    }
}

impl From<&ModelSpec> for ModelSpec {
    fn from(spec: &ModelSpec) -> Self {
        spec.clone()
    }
}

impl ModelSpec {
    /// A model with trainable adapters. `frozen` is the dtype of its frozen matrices.
    ///
    /// # Errors
    /// [`Error::Setting`] if the rank or alpha is out of range, there are no targets, or a layer is not there.
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
        if let Some(layers) = &lora.layers {
            let count = config.num_hidden_layers;
            if layers.last().is_none_or(|last| last >= count) {
                let last = count - 1;
                return Err(Error::Setting(format!("adapters in the layers \"{layers}\": the model has the layers 0 to {last}")));
            }
            // All layers are written in one way, so that equal adapters are equal.
            lora.layers.take_if(|layers| layers.iter().len() == count as usize);
        }
        Ok(ModelSpec { training: Training::Lora { lora, frozen }, ..ModelSpec::from(config) })
    }

    /// The same with another dtype of activations.
    pub fn with_activation_dtype(self, activation_dtype: ActivationDtype) -> Self {
        ModelSpec { activation_dtype, ..self }
    }

    /// The adapters, if it has any.
    pub fn adapters(&self) -> Option<&Lora> {
        match &self.training {
            Training::Full => None,
            Training::Lora { lora, .. } => Some(lora),
        }
    }
}

impl ActivationDtype {
    /// All of them.
    pub const ALL: [ActivationDtype; 2] = [ActivationDtype::F32, ActivationDtype::Bf16];

    /// How its floats are stored.
    pub fn dtype(self) -> Dtype {
        match self {
            ActivationDtype::F32 => Dtype::F32,
            ActivationDtype::Bf16 => Dtype::Bf16,
        }
    }

    /// The name in settings and on the command line.
    pub fn name(self) -> &'static str {
        self.dtype().name()
    }

    /// The dtype of that name.
    pub fn named(name: &str) -> Option<ActivationDtype> {
        ActivationDtype::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl Lora {
    /// Has the projection an adapter in that layer?
    pub fn adapts(&self, projection: Projection, layer: u32) -> bool {
        self.targets.contains(&projection) && self.layers.as_ref().is_none_or(|layers| layers.contains(layer))
    }

    /// The factor of `B · (A · x)`.
    pub fn scale(&self) -> f64 {
        let rank = f64::from(self.rank);
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

impl Projection {
    /// All projections, in the order in which a layer uses them.
    pub const ALL: [Projection; 7] =
        [Projection::Query, Projection::Key, Projection::Value, Projection::Output, Projection::Gate, Projection::Up, Projection::Down];

    /// Its Hugging Face name.
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

    /// The submodule of the layer that it belongs to: `self_attn` or `mlp`.
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
