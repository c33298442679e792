//! The values of parameters in host memory: of small models, and of trainable parameters.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{ModelSpec, Parameter, Parameters, RandomInit, TensorNames, WeightSource};
use crate::error::Result;

/// Values of parameters by name, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    values: BTreeMap<String, Vec<f32>>,
}

impl Weights {
    /// The weights of `parameters`, from their values in the same order.
    ///
    /// # Panics
    /// If there are more or fewer values than parameters, or if a value's length does not match its parameter's shape.
    pub fn of<'a>(parameters: impl IntoIterator<Item = &'a Parameter>, values: impl IntoIterator<Item = Vec<f32>>) -> Self {
        let mut values = values.into_iter();
        let mut all = BTreeMap::new();
        for parameter in parameters {
            let values = values.next().unwrap_or_else(|| panic!("no values for {}", parameter.name));
            assert_eq!(values.len(), parameter.elements(), "{}: {:?}", parameter.name, parameter.shape());
            all.insert(parameter.name.clone(), values);
        }
        assert!(values.next().is_none(), "values for more than the {} parameters", all.len());
        Weights { values: all }
    }

    /// Randomly initialised values of all parameters.
    pub fn init(spec: impl Into<ModelSpec>, seed: u64) -> Self {
        let parameters = Parameters::new(spec);
        let values = parameters.iter().map(|(_, parameter)| RandomInit { seed }.draw(parameter, 0..parameter.file_rows()));
        Weights::of(parameters.iter().map(|(_, parameter)| parameter), values)
    }

    /// Reads the values of `parameters`.
    ///
    /// # Errors
    /// Errors of the weight source.
    pub async fn read<'a>(values: &impl WeightSource, parameters: impl IntoIterator<Item = &'a Parameter>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for parameter in parameters {
            all.insert(parameter.name.clone(), values.rows(parameter, 0..parameter.file_rows()).await?.into_owned());
        }
        Ok(Weights { values: all })
    }

    /// The values of a parameter.
    ///
    /// # Panics
    /// If there is no parameter of that name.
    pub fn get(&self, name: &str) -> &[f32] {
        self.values.get(name).unwrap_or_else(|| panic!("no values for {name}"))
    }

    /// A safetensors file of f32 tensors with these names.
    ///
    /// # Panics
    /// If the values of a parameter are missing.
    pub fn to_safetensors<'a>(&self, parameters: impl IntoIterator<Item = &'a Parameter>, names: &TensorNames) -> Vec<u8> {
        let named = parameters.into_iter().map(|p| (names.of(p), p.shape(), self.get(&p.name)));
        f32_safetensors(named, &[("format", "pt")])
    }
}

impl WeightSource for Weights {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        let width = parameter.cols.size() as usize;
        Ok(Cow::Borrowed(&self.get(&parameter.name)[rows.start as usize * width..rows.end as usize * width]))
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

/// The values of a tensor as f32; `None` if the dtype is not supported.
pub(crate) fn as_f32(view: &TensorView) -> Option<Vec<f32>> {
    to_f32(view.dtype(), view.data())
}

/// Converts little-endian values of a dtype to f32; `None` if the dtype is not supported.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, PRESETS};

    #[test]
    fn seeds_differ_and_repeat() {
        let config = Config { num_hidden_layers: 1, hidden_size: 6, intermediate_size: 5, vocab_size: 7, ..PRESETS[0].config.clone() };
        assert_eq!(Weights::init(&config, 1), Weights::init(&config, 1));
        assert_ne!(Weights::init(&config, 1), Weights::init(&config, 2));
    }
}
