//! The values of all parameters on the host: from a seed, from a safetensors file, and into one.

use std::collections::HashMap;

use half::{bf16, f16};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Config, Init, Layout, Parameter, ParameterId, Parameters, Role};
use crate::error::{Error, Result};

/// Values of parameters, in the order of [`Parameters`], each in the layout of a file. What does not learn may be left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    values: Vec<Vec<f32>>,
}

impl Weights {
    /// Takes the values of every parameter that learns, in the table's order.
    ///
    /// # Panics
    /// If a parameter's values do not fit its shape.
    pub fn of_trained(parameters: &Parameters, values: Vec<Vec<f32>>) -> Self {
        let mut all = vec![Vec::new(); parameters.len()];
        let mut values = values.into_iter();
        for (id, parameter) in parameters.trained() {
            all[id.0] = values.next().unwrap_or_else(|| panic!("no values for {}", parameter.name));
            assert_eq!(all[id.0].len(), parameter.elements(), "{}: {:?}", parameter.name, parameter.shape());
        }
        assert!(values.next().is_none(), "values for more than the parameters that learn");
        Weights { values: all }
    }

    /// Takes the values of every parameter, in the table's order.
    ///
    /// # Panics
    /// If a parameter's values do not fit its shape.
    pub fn new(parameters: &Parameters, values: Vec<Vec<f32>>) -> Self {
        assert_eq!(values.len(), parameters.len());
        for ((_, parameter), values) in parameters.iter().zip(&values) {
            assert_eq!(values.len(), parameter.elements(), "{}: {:?}", parameter.name, parameter.shape());
        }
        Weights { values }
    }

    /// Fresh values. Each parameter draws from a stream of its own, so that none depends on the others' sizes; adapters draw
    /// from streams behind those of the model, so that it is the same model with and without them.
    pub fn init(layout: impl Into<Layout>, seed: u64) -> Self {
        let parameters = Parameters::new(layout);
        let (mut of_model, mut of_adapters) = (0.., 1 << 32..);
        let draw = |(_, parameter): (ParameterId, &Parameter)| {
            let is_adapter = matches!(parameter.role, Role::LoraA(_) | Role::LoraB(_));
            let stream: Option<u64> = if is_adapter { of_adapters.next() } else { of_model.next() };
            match parameter.init {
                Init::Zeros => vec![0.0; parameter.elements()],
                Init::Ones => vec![1.0; parameter.elements()],
                Init::Normal { std } => {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    rng.set_stream(stream.expect("there are streams enough"));
                    normal(&mut rng, std, parameter.elements())
                }
            }
        };
        Weights { values: parameters.iter().map(draw).collect() }
    }

    /// A parameter's values.
    pub fn get(&self, id: ParameterId) -> &[f32] {
        &self.values[id.0]
    }

    /// Reads a `model.safetensors` of f32, f16 or bf16 tensors under their Hugging Face names.
    ///
    /// # Errors
    /// [`Error::Weights`] names the tensor that is missing, of the wrong shape or type, or not expected.
    pub fn from_safetensors(config: &Config, file: &str, bytes: &[u8]) -> Result<Self> {
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|e| Error::weights(file, format!("is no complete safetensors file ({e})")))?;
        let parameters = Parameters::new(config);
        let values = parameters.iter().map(|(_, p)| read(&tensors, p, file)).collect::<Result<_>>()?;
        let is_known =
            |name: &str| name == "lm_head.weight" && config.tie_word_embeddings || parameters.iter().any(|(_, p)| p.name == name);
        if let Some(name) = tensors.names().into_iter().find(|name| !is_known(name)) {
            return Err(Error::weights(file, format!("holds the tensor {name}, which the model in config.json does not have")));
        }
        Ok(Weights { values })
    }

    /// A `model.safetensors` of f32 tensors under their Hugging Face names.
    pub fn to_safetensors(&self, config: &Config) -> Vec<u8> {
        let parameters = Parameters::new(config);
        let named = parameters.iter().map(|(id, p)| (p.name.clone(), p.shape(), self.get(id)));
        f32_safetensors(named, &[("format", "pt")])
    }
}

/// A safetensors file of f32 tensors.
pub(crate) fn f32_safetensors<'a>(
    tensors: impl IntoIterator<Item = (String, Vec<usize>, &'a [f32])>,
    metadata: &[(&str, &str)],
) -> Vec<u8> {
    let views: Vec<(String, TensorView)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).expect("shape and values agree");
            (name, view)
        })
        .collect();
    let metadata: HashMap<String, String> = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    safetensors::serialize(views, Some(metadata)).expect("tensors in memory can be written")
}

/// A tensor's values as f32.
pub(crate) fn as_f32(view: &TensorView) -> Option<Vec<f32>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        _ => return None,
    })
}

fn read(tensors: &SafeTensors, parameter: &Parameter, file: &str) -> Result<Vec<f32>> {
    let name = &parameter.name;
    let view =
        tensors.tensor(name).map_err(|_| Error::weights(file, format!("has no tensor {name}, which the model in config.json needs")))?;
    if view.shape() != parameter.shape() {
        return Err(Error::weights(
            file,
            format!("the tensor {name} has the shape {:?}, and config.json asks for {:?}", view.shape(), parameter.shape()),
        ));
    }
    let values = as_f32(&view)
        .ok_or_else(|| Error::weights(file, format!("the tensor {name} is of type {:?}; F32, F16 and BF16 are supported", view.dtype())))?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(Error::weights(file, format!("the tensor {name} holds {} at element {at}", values[at])));
    }
    Ok(values)
}

/// Normally distributed values, by Box and Muller's transform.
fn normal(rng: &mut ChaCha8Rng, std: f64, count: usize) -> Vec<f32> {
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let pairs = (0..count.div_ceil(2)).flat_map(|_| {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        [radius * angle.cos(), radius * angle.sin()]
    });
    pairs.take(count).map(|v| (std * v) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;

    fn config() -> Config {
        Config { num_hidden_layers: 1, hidden_size: 6, intermediate_size: 5, vocab_size: 7, ..PRESETS[0].config.clone() }
    }

    #[test]
    fn weights_written_are_the_weights_read() {
        let weights = Weights::init(&config(), 7);
        let bytes = weights.to_safetensors(&config());
        assert_eq!(Weights::from_safetensors(&config(), "file", &bytes).unwrap(), weights);
    }

    #[test]
    fn a_truncated_file_and_a_wrong_shape_are_named() {
        let bytes = Weights::init(&config(), 7).to_safetensors(&config());
        for cut in [0, 4, 20, bytes.len() / 2, bytes.len() - 1] {
            let error = Weights::from_safetensors(&config(), "model.safetensors", &bytes[..cut]).unwrap_err().to_string();
            assert!(error.contains("model.safetensors"), "{error}");
        }
        let other = Config { hidden_size: 8, ..config() };
        let error = Weights::from_safetensors(&other, "file", &bytes).unwrap_err().to_string();
        assert!(error.contains("model.embed_tokens.weight"), "{error}");
    }

    #[test]
    fn seeds_differ_and_repeat() {
        assert_eq!(Weights::init(&config(), 1), Weights::init(&config(), 1));
        assert_ne!(Weights::init(&config(), 1), Weights::init(&config(), 2));
    }
}
