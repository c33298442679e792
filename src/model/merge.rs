//! Merges adapters into their base model: `weight + scale · B · A`.

use std::borrow::Cow;
use std::path::Path;

use safetensors::{Dtype as FileDtype, View};

use super::archive::TokenizerParts;
use super::directory::{Directory, add_companions};
use super::stored::WEIGHTS;
use super::{DirectoryWriter, Dtype, ModelSpec, Parameter, Parameters, Projection, Role, StoredAdapter, StoredModel, WeightSource};
use crate::error::{Error, Result};

/// Rows of a matrix that are merged at a time.
const ROWS_AT_ONCE: u32 = 1024;

/// Saves a model with its adapters merged to a directory. Every matrix has the dtype that it has in the model, or `dtype`. `tokenizer` is
/// that of the adapters, if they have one.
///
/// # Errors
/// [`Error::Setting`] if a value exceeds the dtype; [`Error::Weights`] if a file is damaged;
/// [`Error::Io`] if a file cannot be read or written.
pub fn merge(
    model: &StoredModel<Directory>,
    adapter: &StoredAdapter<Directory>,
    dtype: Option<Dtype>,
    tokenizer: Option<TokenizerParts>,
    directory: &Path,
) -> Result<()> {
    let spec = ModelSpec::lora(model.config(), adapter.lora().clone(), Dtype::F32)?;
    let parameters = Parameters::new(&spec);
    // The library writes the file tensor by tensor through a trait that cannot return errors, so the first error is stored here.
    let failure = std::cell::RefCell::new(None);
    let own = |parameter: &Parameter| dtype.map_or_else(|| model.dtype(parameter), file_dtype_of);
    let names = model.names();
    let of_model = parameters.iter().map(|(_, parameter)| parameter).filter(|parameter| !parameter.is_adapter());
    let merged = of_model.map(|parameter| {
        let (shape, dtype) = (parameter.shape(), own(parameter));
        let merged = Merged { model, adapter, parameters: &parameters, parameter, shape, dtype, failure: &failure };
        (names.of(parameter), merged)
    });
    let views: Vec<(String, Merged)> = merged.collect();
    let name = views.first().map_or("float32", |(_, view)| name_of(view.dtype));
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let mut files = DirectoryWriter::new(directory)?;
    let written = files.add_with(WEIGHTS, |temporary| {
        safetensors::serialize_to_file(views, metadata, temporary).map_err(std::io::Error::other)?;
        if failure.borrow().is_some() { Err(std::io::Error::other("not all of it could be made")) } else { Ok(()) }
    });
    match failure.into_inner() {
        Some(error) => return Err(error),
        None => written?,
    }
    let (of_adapters, ids) = tokenizer.unwrap_or_default();
    add_companions(model, &mut files, name, &ids, of_adapters.is_empty())?;
    files.add_all(of_adapters)?;
    files.commit()
}

/// A matrix of the merged model. It is computed when it is written, and freed afterwards.
struct Merged<'a> {
    model: &'a StoredModel<Directory>,
    adapter: &'a StoredAdapter<Directory>,
    parameters: &'a Parameters,
    parameter: &'a Parameter,
    shape: Vec<usize>,
    dtype: FileDtype,
    failure: &'a std::cell::RefCell<Option<Error>>,
}

impl View for Merged<'_> {
    fn dtype(&self) -> FileDtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = pollster::block_on(self.bytes());
        Cow::Owned(bytes.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            Vec::new()
        }))
    }

    fn data_len(&self) -> usize {
        self.parameter.elements() * self.dtype.bitsize() / 8
    }
}

impl Merged<'_> {
    async fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.data_len());
        let rows = self.parameter.file_rows();
        let adapter = match self.parameter.role {
            Role::Weight(projection) => self.matrices(projection).await?,
            _ => None,
        };
        for first in (0..rows).step_by(ROWS_AT_ONCE as usize) {
            let rows = first..rows.min(first + ROWS_AT_ONCE);
            let mut values = self.model.rows(self.parameter, rows.clone()).await?.into_owned();
            if let Some([a, b]) = &adapter {
                let rank = self.adapter.lora().rank as usize;
                self.add(&mut values, a, &b[rows.start as usize * rank..rows.end as usize * rank]);
            }
            let dtype = dtype_of_file(self.dtype);
            dtype.check(&self.parameter.name, &values)?;
            bytes.extend(dtype.encode(&values, self.parameter.cols.size()));
        }
        Ok(bytes)
    }

    /// A (rank×columns) and B (rows×rank) of a projection, if it has an adapter.
    async fn matrices(&self, projection: Projection) -> Result<Option<[Vec<f32>; 2]>> {
        let mut matrices = [Vec::new(), Vec::new()];
        for (matrix, role) in matrices.iter_mut().zip([Role::LoraA(projection), Role::LoraB(projection)]) {
            let Some(id) = self.parameters.get_if_any(role, self.parameter.layer) else { return Ok(None) };
            let parameter = self.parameters.get(id);
            *matrix = self.adapter.rows(parameter, 0..parameter.file_rows()).await?.into_owned();
        }
        Ok(Some(matrices))
    }

    /// `values += scale · B · A`, computed in f64 and rounded once.
    fn add(&self, values: &mut [f32], a: &[f32], b: &[f32]) {
        let (rank, scale) = (self.adapter.lora().rank as usize, self.adapter.lora().scale());
        let cols = self.parameter.cols.size() as usize;
        let mut sums = vec![0.0; cols];
        for (row, b) in values.chunks_exact_mut(cols).zip(b.chunks_exact(rank)) {
            sums.fill(0.0);
            for (a, &b) in a.chunks_exact(cols).zip(b) {
                sums.iter_mut().zip(a).for_each(|(sum, &a)| *sum += f64::from(b) * f64::from(a));
            }
            row.iter_mut().zip(&sums).for_each(|(value, sum)| *value = (f64::from(*value) + scale * sum) as f32);
        }
    }
}

/// The dtype of a safetensors dtype.
fn dtype_of_file(dtype: FileDtype) -> Dtype {
    match dtype {
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::Bf16,
        _ => Dtype::F32,
    }
}

fn file_dtype_of(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::F16 => FileDtype::F16,
        Dtype::Bf16 => FileDtype::BF16,
        Dtype::F32 | Dtype::Int8 => FileDtype::F32,
    }
}

/// PyTorch's name of a dtype.
fn name_of(dtype: FileDtype) -> &'static str {
    match dtype {
        FileDtype::F16 => "float16",
        FileDtype::BF16 => "bfloat16",
        _ => "float32",
    }
}
