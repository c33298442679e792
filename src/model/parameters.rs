//! The one table of parameters: name, shape, initial values, and how each lies on the device.

use std::ops::Range;

use super::Config;

/// One axis of a parameter: `groups` runs of `len` elements (heads, say; otherwise one run).
///
/// On the device every run is padded with zeros to a multiple of four, so that kernels may read four at a time
/// whatever the model's sizes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Runs.
    pub groups: u32,
    /// Elements of a run.
    pub len: u32,
}

impl Axis {
    /// One run.
    pub const fn flat(len: u32) -> Self {
        Axis { groups: 1, len }
    }

    /// A run for each head.
    pub const fn heads(groups: u32, len: u32) -> Self {
        Axis { groups, len }
    }

    /// Elements in a file.
    pub const fn size(self) -> u32 {
        self.groups * self.len
    }

    /// Elements on the device.
    pub const fn padded(self) -> u32 {
        self.groups * self.len.next_multiple_of(4)
    }

    /// Where each run lies in a file, and where on the device.
    fn runs(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (len, padded) = (self.len as usize, self.len.next_multiple_of(4) as usize);
        (0..self.groups as usize).map(move |g| (g * len, g * padded, len))
    }
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `embed_tokens` (V×D).
    Embedding,
    /// `input_layernorm` (D).
    AttentionNorm,
    /// `q_proj` (H·E×D).
    Query,
    /// `k_proj` (K·E×D).
    Key,
    /// `v_proj` (K·E×D).
    Value,
    /// `o_proj` (D×H·E).
    Output,
    /// `post_attention_layernorm` (D).
    MlpNorm,
    /// `gate_proj` (F×D).
    Gate,
    /// `up_proj` (F×D).
    Up,
    /// `down_proj` (D×F).
    Down,
    /// The last `norm` (D).
    FinalNorm,
    /// `lm_head` (V×D), where it is not the embedding.
    Head,
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All ones.
    Ones,
    /// Normally distributed around zero.
    Normal {
        /// The standard deviation.
        std: f64,
    },
}

/// One tensor of the model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its Hugging Face name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its layer.
    pub layer: Option<u32>,
    /// Rows, for a matrix.
    pub rows: Option<Axis>,
    /// Columns: the axis that is contiguous in memory.
    pub cols: Axis,
    /// How it starts.
    pub init: Init,
}

impl Parameter {
    /// The shape in a file.
    pub fn shape(&self) -> Vec<usize> {
        self.rows.iter().chain([&self.cols]).map(|axis| axis.size() as usize).collect()
    }

    /// Elements in a file.
    pub fn elements(&self) -> usize {
        self.shape().iter().product()
    }

    /// Rows on the device.
    pub fn padded_rows(&self) -> u32 {
        self.rows.map_or(1, Axis::padded)
    }

    /// From a file's layout to the device's.
    pub fn pad(&self, values: &[f32]) -> Vec<f32> {
        assert_eq!(values.len(), self.elements(), "{}: {:?}", self.name, self.shape());
        let mut padded = vec![0.0; self.padded_rows() as usize * self.cols.padded() as usize];
        self.for_each_run(|file, device| padded[device].copy_from_slice(&values[file]));
        padded
    }

    /// From the device's layout to a file's.
    pub fn unpad<T: Copy + Default>(&self, padded: &[T]) -> Vec<T> {
        assert_eq!(padded.len(), self.padded_rows() as usize * self.cols.padded() as usize, "{}", self.name);
        let mut values = vec![T::default(); self.elements()];
        self.for_each_run(|file, device| values[file].copy_from_slice(&padded[device]));
        values
    }

    fn for_each_run(&self, mut copy: impl FnMut(Range<usize>, Range<usize>)) {
        let (width, padded_width) = (self.cols.size() as usize, self.cols.padded() as usize);
        let mut row = |file_row: usize, device_row: usize| {
            for (file, device, len) in self.cols.runs() {
                let (file, device) = (file_row * width + file, device_row * padded_width + device);
                copy(file..file + len, device..device + len);
            }
        };
        match self.rows {
            None => row(0, 0),
            Some(rows) => rows.runs().for_each(|(file, device, len)| (0..len).for_each(|i| row(file + i, device + i))),
        }
    }
}

/// A parameter's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterId(pub usize);

/// All parameters of a model, in the order in which a step uses them.
#[derive(Clone, Debug)]
pub struct Parameters {
    table: Vec<Parameter>,
    tied: bool,
}

impl Parameters {
    /// The table for a model of these sizes.
    pub fn new(config: &Config) -> Self {
        let mut table =
            vec![matrix("model.embed_tokens.weight", Role::Embedding, None, Axis::flat(config.vocab_size), hidden(config), STD)];
        (0..config.num_hidden_layers).for_each(|layer| table.extend(layer_parameters(config, layer)));
        table.push(norm("model.norm.weight", Role::FinalNorm, None, config));
        if !config.tie_word_embeddings {
            table.push(matrix("lm_head.weight", Role::Head, None, Axis::flat(config.vocab_size), hidden(config), STD));
        }
        Parameters { table, tied: config.tie_word_embeddings }
    }

    /// Every parameter with its place.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ParameterId, &Parameter)> {
        self.table.iter().enumerate().map(|(i, parameter)| (ParameterId(i), parameter))
    }

    /// The parameter at that place.
    pub fn get(&self, id: ParameterId) -> &Parameter {
        &self.table[id.0]
    }

    /// The place of the parameter with that role in that layer. A tied head is the embedding.
    pub fn find(&self, role: Role, layer: Option<u32>) -> ParameterId {
        let role = if role == Role::Head && self.tied { Role::Embedding } else { role };
        let found = self.table.iter().position(|p| p.role == role && p.layer == layer);
        ParameterId(found.unwrap_or_else(|| panic!("no parameter {role:?} in layer {layer:?}")))
    }

    /// Parameters in the table.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Is there none? Never, but clippy and readers expect the question to be possible.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Elements of all of them together, in a file's layout.
    pub fn elements(&self) -> u64 {
        self.table.iter().map(|p| p.elements() as u64).sum()
    }
}

/// The standard deviation of embeddings: GPT-2's, which keeps the first logits near zero.
const STD: f64 = 0.02;

/// The standard deviation of a projection: at any width it keeps the variance of what it reads, so that attention can tell
/// tokens apart from the first step on.
fn fan_in(cols: Axis) -> f64 {
    1.0 / f64::from(cols.size()).sqrt()
}

fn hidden(config: &Config) -> Axis {
    Axis::flat(config.hidden_size)
}

fn layer_parameters(config: &Config, layer: u32) -> [Parameter; 9] {
    let queries = Axis::heads(config.num_attention_heads, config.head_dim);
    let keys = Axis::heads(config.num_key_value_heads, config.head_dim);
    let mlp = Axis::flat(config.intermediate_size);
    // What is written to the residual stream adds up over 2·L projections; this keeps its variance at that of one.
    let residual = 1.0 / f64::from(2 * config.num_hidden_layers).sqrt();
    let weight = |name, role, rows, cols, scale| {
        matrix(&format!("model.layers.{layer}.{name}.weight"), role, Some(layer), rows, cols, scale * fan_in(cols))
    };
    let layer_norm = |name, role| norm(&format!("model.layers.{layer}.{name}.weight"), role, Some(layer), config);
    [
        layer_norm("input_layernorm", Role::AttentionNorm),
        weight("self_attn.q_proj", Role::Query, queries, hidden(config), 1.0),
        weight("self_attn.k_proj", Role::Key, keys, hidden(config), 1.0),
        weight("self_attn.v_proj", Role::Value, keys, hidden(config), 1.0),
        weight("self_attn.o_proj", Role::Output, hidden(config), queries, residual),
        layer_norm("post_attention_layernorm", Role::MlpNorm),
        weight("mlp.gate_proj", Role::Gate, mlp, hidden(config), 1.0),
        weight("mlp.up_proj", Role::Up, mlp, hidden(config), 1.0),
        weight("mlp.down_proj", Role::Down, hidden(config), mlp, residual),
    ]
}

fn matrix(name: &str, role: Role, layer: Option<u32>, rows: Axis, cols: Axis, std: f64) -> Parameter {
    Parameter { name: name.to_owned(), role, layer, rows: Some(rows), cols, init: Init::Normal { std } }
}

fn norm(name: &str, role: Role, layer: Option<u32>, config: &Config) -> Parameter {
    Parameter { name: name.to_owned(), role, layer, rows: None, cols: hidden(config), init: Init::Ones }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_keeps_heads_apart_and_comes_off_again() {
        let parameter = matrix("q", Role::Query, None, Axis::heads(3, 6), Axis::flat(5), STD);
        let values: Vec<f32> = (1..=90).map(|v| v as f32).collect();
        let padded = parameter.pad(&values);
        assert_eq!(padded.len(), 24 * 8);
        // The second head's first row starts a run of eight rows.
        assert_eq!(padded[8 * 8], values[6 * 5]);
        assert!(padded[6 * 8..8 * 8].iter().all(|&v| v == 0.0));
        assert_eq!(parameter.unpad(&padded), values);
    }
}
