//! The table of parameters: name, shape, initialisation, and device layout of each.

use std::collections::HashMap;
use std::ops::Range;

use super::{Config, Dtype, ModelSpec, Projection, Training};

/// An axis of a parameter: `groups` runs of `len` elements. A run is a head, or the whole axis.
///
/// On the device every run is padded with zeros to a multiple of four, so that kernels can read vectors of four for any sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The number of runs.
    pub groups: u32,
    /// Elements of a run.
    pub len: u32,
}

impl Axis {
    /// An axis of one run.
    pub const fn flat(len: u32) -> Self {
        Axis { groups: 1, len }
    }

    /// An axis with a run for each head.
    pub const fn heads(groups: u32, len: u32) -> Self {
        Axis { groups, len }
    }

    /// The number of elements, without padding.
    pub const fn size(self) -> u32 {
        self.groups * self.len
    }

    /// The number of elements on the device, padding included.
    pub const fn padded(self) -> u32 {
        self.groups * self.len.next_multiple_of(4)
    }

    /// The start of each run in a file and on the device, and its length.
    fn runs(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (len, padded) = (self.len as usize, self.len.next_multiple_of(4) as usize);
        (0..self.groups as usize).map(move |g| (g * len, g * padded, len))
    }
}

/// The role of a parameter. Matrices are (outputs×inputs), as in Hugging Face files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `embed_tokens` (V×D).
    Embedding,
    /// `input_layernorm` (D).
    AttentionNorm,
    /// The weight matrix of a projection.
    Weight(Projection),
    /// The bias of a projection.
    Bias(Projection),
    /// LoRA A of a projection (rank×inputs).
    LoraA(Projection),
    /// LoRA B of a projection (outputs×rank).
    LoraB(Projection),
    /// `q_norm` (E).
    QueryNorm,
    /// `k_norm` (E).
    KeyNorm,
    /// The norm of the attention's output, `post_attention_layernorm` in Gemma (D).
    AttentionOutputNorm,
    /// The norm of the MLP's input: `post_attention_layernorm`, or `pre_feedforward_layernorm` in Gemma (D).
    MlpNorm,
    /// The norm of the MLP's output, `post_feedforward_layernorm` in Gemma (D).
    MlpOutputNorm,
    /// The final `norm` (D).
    FinalNorm,
    /// `lm_head` (V×D), unless it is tied to the embedding.
    LmHead,
}

/// The initialisation of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// A normal distribution with mean zero.
    Normal {
        /// The standard deviation.
        std: f64,
    },
}

/// A parameter: one tensor of the model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its Hugging Face name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its layer, if it belongs to one.
    pub layer: Option<u32>,
    /// Its rows, if it is a matrix.
    pub rows: Option<Axis>,
    /// Its columns: the axis that is contiguous in memory.
    pub cols: Axis,
    /// Its initialisation.
    pub init: Init,
    /// The stream of random numbers for its initialisation.
    pub stream: u64,
    /// Is it trainable?
    pub is_trainable: bool,
    /// Its dtype on the device.
    pub dtype: Dtype,
}

impl Parameter {
    /// Its shape in a file, without padding.
    pub fn shape(&self) -> Vec<usize> {
        self.rows.iter().chain([&self.cols]).map(|axis| axis.size() as usize).collect()
    }

    /// The number of elements in a file, without padding.
    pub fn elements(&self) -> usize {
        self.shape().iter().product()
    }

    /// The number of rows on the device, padding included.
    pub fn padded_rows(&self) -> u32 {
        self.rows.map_or(1, Axis::padded)
    }

    /// Elements of a row on the device, padding included.
    pub fn padded_cols(&self) -> u32 {
        self.cols.padded()
    }

    /// Converts values from a file's layout to the device's.
    ///
    /// # Panics
    /// If the number of values is not [`Parameter::elements`].
    pub fn pad(&self, values: &[f32]) -> Vec<f32> {
        self.padded(values, 0..self.padded_rows())
    }

    /// The number of rows in a file; a vector is one row.
    pub fn file_rows(&self) -> u32 {
        self.rows.map_or(1, Axis::size)
    }

    /// The rows of a file that correspond to rows on the device.
    pub fn file_rows_of(&self, device_rows: Range<u32>) -> Range<u32> {
        let mut rows = device_rows.filter_map(|row| self.file_row(row));
        let Some(first) = rows.next() else { return 0..0 };
        first..rows.next_back().unwrap_or(first) + 1
    }

    /// Rows on the device, encoded in the device's layout and dtype, from the corresponding rows of a file.
    ///
    /// # Panics
    /// If `values` are not as many as the rows of [`Parameter::file_rows_of`] have.
    pub fn stored(&self, values: &[f32], device_rows: Range<u32>) -> Vec<u8> {
        self.dtype.encode(&self.padded(values, device_rows), self.padded_cols())
    }

    fn padded(&self, values: &[f32], device_rows: Range<u32>) -> Vec<f32> {
        let (width, padded_width) = (self.cols.size() as usize, self.padded_cols() as usize);
        let file_rows = self.file_rows_of(device_rows.clone());
        assert_eq!(values.len(), file_rows.len() * width, "{}: rows {device_rows:?} of {:?}", self.name, self.shape());
        let mut padded = vec![0.0; device_rows.len() * padded_width];
        for (device_row, padded) in device_rows.zip(padded.chunks_exact_mut(padded_width)) {
            let Some(file_row) = self.file_row(device_row) else { continue };
            let row = &values[(file_row - file_rows.start) as usize * width..][..width];
            self.cols.runs().for_each(|(file, device, len)| padded[device..device + len].copy_from_slice(&row[file..file + len]));
        }
        padded
    }

    /// The row of a file that corresponds to a row on the device; `None` for padding.
    fn file_row(&self, device_row: u32) -> Option<u32> {
        let Some(rows) = self.rows else { return (device_row == 0).then_some(0) };
        let (group, at) = (device_row / rows.len.next_multiple_of(4), device_row % rows.len.next_multiple_of(4));
        (group < rows.groups && at < rows.len).then_some(group * rows.len + at)
    }

    /// Converts values from the device's layout to a file's.
    ///
    /// # Panics
    /// If the number of values is not that of the device's layout.
    pub fn unpad<T: Copy + Default>(&self, padded: &[T]) -> Vec<T> {
        let padded_width = self.padded_cols() as usize;
        assert_eq!(padded.len(), self.padded_rows() as usize * padded_width, "{}", self.name);
        let mut values = Vec::with_capacity(self.elements());
        for (device_row, padded) in (0..).zip(padded.chunks_exact(padded_width)) {
            if self.file_row(device_row).is_some() {
                self.cols.runs().for_each(|(_, device, len)| values.extend_from_slice(&padded[device..device + len]));
            }
        }
        values
    }
}

/// The index of a parameter in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterId(pub usize);

/// The table of all parameters of a model: the embedding, the layers, the final norm, and the LM head unless it is tied.
#[derive(Clone, Debug)]
pub struct Parameters {
    table: Vec<Parameter>,
    /// Where in the table each one is.
    places: HashMap<(Role, Option<u32>), usize>,
    tied: bool,
}

impl Parameters {
    /// The parameters of a model. With LoRA training, everything but the adapters is frozen.
    pub fn new(spec: impl Into<ModelSpec>) -> Self {
        let spec = spec.into();
        let config = &spec.config;
        let vocabulary = Axis::flat(config.vocab_size);
        let mut table = vec![matrix("model.embed_tokens.weight", Role::Embedding, None, vocabulary, hidden(config), STD)];
        (0..config.num_hidden_layers).for_each(|layer| table.extend(layer_parameters(&spec, layer)));
        table.push(norm("model.norm.weight", Role::FinalNorm, None, hidden(config), config));
        if !config.tie_word_embeddings {
            table.push(matrix("lm_head.weight", Role::LmHead, None, vocabulary, hidden(config), STD));
        }
        if let Training::Lora { frozen, .. } = spec.training {
            table.iter_mut().for_each(|parameter| parameter.freeze(frozen));
        }
        number_streams(&mut table);
        let places = (0..).zip(&table).map(|(place, parameter)| ((parameter.role, parameter.layer), place)).collect();
        Parameters { table, places, tied: config.tie_word_embeddings }
    }

    /// All parameters with their indices.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ParameterId, &Parameter)> {
        self.table.iter().enumerate().map(|(i, parameter)| (ParameterId(i), parameter))
    }

    /// The trainable parameters.
    pub fn trainable(&self) -> impl Iterator<Item = (ParameterId, &Parameter)> {
        self.iter().filter(|(_, parameter)| parameter.is_trainable)
    }

    /// The lowest layer with a trainable parameter.
    pub fn lowest_trainable_layer(&self) -> u32 {
        self.trainable().filter_map(|(_, parameter)| parameter.layer).min().expect("a model has trainable parameters in its layers")
    }

    /// The parameter with that index.
    pub fn get(&self, id: ParameterId) -> &Parameter {
        &self.table[id.0]
    }

    /// The index of the parameter with that role in that layer. A tied LM head is the embedding.
    ///
    /// # Panics
    /// If the model has no such parameter.
    pub fn find(&self, role: Role, layer: Option<u32>) -> ParameterId {
        self.get_if_any(role, layer).unwrap_or_else(|| panic!("no parameter {role:?} in layer {layer:?}"))
    }

    /// The index of the parameter with that role in that layer, if the model has one.
    pub fn get_if_any(&self, role: Role, layer: Option<u32>) -> Option<ParameterId> {
        let role = if role == Role::LmHead && self.tied { Role::Embedding } else { role };
        self.places.get(&(role, layer)).copied().map(ParameterId)
    }

    /// The number of parameter tensors.
    #[expect(clippy::len_without_is_empty, reason = "every model has parameters")]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of elements of all parameters, without padding.
    pub fn elements(&self) -> u64 {
        self.table.iter().map(|p| p.elements() as u64).sum()
    }
}

/// Gives each parameter its own stream of random numbers, so that its values do not depend on the sizes of others. Adapters have separate
/// streams, so that the model's values are the same with and without them.
fn number_streams(table: &mut [Parameter]) {
    let (mut of_model, mut of_adapters) = (0.., 1 << 32..);
    for parameter in table {
        let streams = if parameter.is_adapter() { &mut of_adapters } else { &mut of_model };
        parameter.stream = streams.next().expect("there are streams enough");
    }
}

impl Parameter {
    /// Is it LoRA A or LoRA B of an adapter?
    pub fn is_adapter(&self) -> bool {
        matches!(self.role, Role::LoraA(_) | Role::LoraB(_))
    }

    /// Freezes everything but adapters, and stores frozen matrices in `dtype`.
    fn freeze(&mut self, dtype: Dtype) {
        self.is_trainable = self.is_adapter();
        if !self.is_trainable && self.rows.is_some() {
            self.dtype = dtype;
        }
    }
}

/// The standard deviation of embeddings: that of GPT-2, with which the first logits are near zero.
const STD: f64 = 0.02;

/// The standard deviation of a projection: `1 / √inputs`. It preserves the variance of the input at any width, so that attention can
/// distinguish tokens from the first step on.
fn fan_in(cols: Axis) -> f64 {
    1.0 / f64::from(cols.size()).sqrt()
}

fn hidden(config: &Config) -> Axis {
    Axis::flat(config.hidden_size)
}

/// The axes of a projection's outputs and inputs.
pub(super) fn axes(config: &Config, projection: Projection) -> [Axis; 2] {
    let queries = Axis::heads(config.num_attention_heads, config.head_dim);
    let keys = Axis::heads(config.num_key_value_heads, config.head_dim);
    let mlp = Axis::flat(config.intermediate_size);
    match projection {
        Projection::Query => [queries, hidden(config)],
        Projection::Key | Projection::Value => [keys, hidden(config)],
        Projection::Output => [hidden(config), queries],
        Projection::Gate | Projection::Up => [mlp, hidden(config)],
        Projection::Down => [hidden(config), mlp],
    }
}

fn layer_parameters(spec: &ModelSpec, layer: u32) -> Vec<Parameter> {
    let config = &spec.config;
    let family = config.family();
    let layer_norm = |name: &str, role, axis| norm(&format!("model.layers.{layer}.{name}.weight"), role, Some(layer), axis, config);
    let wide = hidden(config);
    let head = Axis::flat(config.head_dim);
    let mut table = vec![layer_norm("input_layernorm", Role::AttentionNorm, wide)];
    for projection in [Projection::Query, Projection::Key, Projection::Value, Projection::Output] {
        table.extend(projection_parameters(spec, layer, projection));
    }
    if family.qk_norm {
        table.push(layer_norm("self_attn.q_norm", Role::QueryNorm, head));
        table.push(layer_norm("self_attn.k_norm", Role::KeyNorm, head));
    }
    if family.norms_outputs {
        table.push(layer_norm("post_attention_layernorm", Role::AttentionOutputNorm, wide));
        table.push(layer_norm("pre_feedforward_layernorm", Role::MlpNorm, wide));
        table.push(layer_norm("post_feedforward_layernorm", Role::MlpOutputNorm, wide));
    } else {
        table.push(layer_norm("post_attention_layernorm", Role::MlpNorm, wide));
    }
    for projection in [Projection::Gate, Projection::Up, Projection::Down] {
        table.extend(projection_parameters(spec, layer, projection));
    }
    table
}

/// The weight of a projection, and its bias and adapter if it has them.
fn projection_parameters(spec: &ModelSpec, layer: u32, projection: Projection) -> Vec<Parameter> {
    let config = &spec.config;
    let [rows, cols] = axes(config, projection);
    // The residual stream is a sum over the outputs of 2·L projections. This scale keeps the variance of the sum at that of one.
    let scale = match projection {
        Projection::Output | Projection::Down => 1.0 / f64::from(2 * config.num_hidden_layers).sqrt(),
        _ => 1.0,
    };
    let name = format!("model.layers.{layer}.{}.{}", projection.module(), projection.name());
    let mut table = vec![matrix(&format!("{name}.weight"), Role::Weight(projection), Some(layer), rows, cols, scale * fan_in(cols))];
    let has_bias = match projection {
        Projection::Query | Projection::Key | Projection::Value => config.qkv_bias,
        Projection::Output => config.output_bias,
        Projection::Gate | Projection::Up | Projection::Down => config.mlp_bias,
    };
    if has_bias {
        table.push(vector(&format!("{name}.bias"), Role::Bias(projection), Some(layer), rows, Init::Zeros));
    }
    if let Some(lora) = spec.adapters().filter(|lora| lora.adapts(projection, layer)) {
        let rank = Axis::flat(lora.rank);
        let name = format!("base_model.model.{name}");
        table.push(matrix(&format!("{name}.lora_A.weight"), Role::LoraA(projection), Some(layer), rank, cols, fan_in(cols)));
        let b = matrix(&format!("{name}.lora_B.weight"), Role::LoraB(projection), Some(layer), rows, rank, 0.0);
        // Initially an adapter changes nothing.
        table.push(Parameter { init: Init::Zeros, ..b });
    }
    table
}

fn matrix(name: &str, role: Role, layer: Option<u32>, rows: Axis, cols: Axis, std: f64) -> Parameter {
    Parameter { rows: Some(rows), ..vector(name, role, layer, cols, Init::Normal { std }) }
}

fn norm(name: &str, role: Role, layer: Option<u32>, cols: Axis, config: &Config) -> Parameter {
    vector(name, role, layer, cols, if config.family().norms_add_one { Init::Zeros } else { Init::Ones })
}

fn vector(name: &str, role: Role, layer: Option<u32>, cols: Axis, init: Init) -> Parameter {
    Parameter { name: name.to_owned(), role, layer, rows: None, cols, init, stream: 0, is_trainable: true, dtype: Dtype::F32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_keeps_heads_apart_and_comes_off_again() {
        let parameter = matrix("q", Role::Weight(Projection::Query), None, Axis::heads(3, 6), Axis::flat(5), STD);
        let values: Vec<f32> = (1..=90).map(|v| v as f32).collect();
        let padded = parameter.padded(&values, 0..24);
        assert_eq!(padded.len(), 24 * 8);
        // The second head's first row starts a run of eight rows.
        assert_eq!(padded[8 * 8], values[6 * 5]);
        assert!(padded[6 * 8..8 * 8].iter().all(|&v| v == 0.0));
        assert_eq!(parameter.unpad(&padded), values);
        // Rows 7 to 16 on the device are a row of padding, the whole second head with its padding, and the third's first row.
        assert_eq!(parameter.file_rows_of(7..17), 6..13);
        assert_eq!(parameter.padded(&values[6 * 5..13 * 5], 7..17), padded[7 * 8..17 * 8]);
        assert_eq!(parameter.file_rows_of(6..8), 0..0);
    }
}
