//! Tensors in safetensors files: one file, or several shards with an index. Opening reads only headers; values are read row by row.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::weights::to_f32;
use super::{Files, Parameter, Role, TensorNames};
use crate::error::{Error, Result};

/// The tensors of a model, by name.
pub struct Tensors<F> {
    files: F,
    places: BTreeMap<String, Place>,
    /// The names of parameters in the files.
    names: TensorNames,
}

/// The location of a tensor.
#[derive(Clone, Debug)]
struct Place {
    file: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// The offset of its first byte in the file.
    start: u64,
}

/// A limit that no real header reaches, in bytes.
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Bytes of the header's length, which precedes the header.
const PREFIX: u64 = 8;
/// How a pointer of Git LFS begins, which is left where the file itself was not fetched.
const LFS_POINTER: &[u8] = b"version https://git-lfs";
/// Files that hold weights in other formats, and what to do about each.
const OTHER_FORMATS: [(&str, &str); 6] = [
    ("pytorch_model.bin", RESAVE),
    ("pytorch_model.bin.index.json", RESAVE),
    ("adapter_model.bin", RESAVE),
    ("consolidated.safetensors", "take the model in the layout of Hugging Face"),
    ("consolidated.00.pth", "take the model in the layout of Hugging Face"),
    ("adapter_model.safetensors", "these are adapters: open their base model, and them as its adapters (--lora)"),
];
const RESAVE: &str = "load it in Python, and save it with save_pretrained(safe_serialization=True)";

impl<F: Files> Tensors<F> {
    /// Reads the headers of a model's files: of the file `single` if it exists, otherwise of the shards that `index` names.
    ///
    /// # Errors
    /// [`Error::Weights`] if a file is missing or damaged, or if the shards do not match the index. Errors of `files`.
    pub async fn open(files: F, single: &str, index: &str) -> Result<Self> {
        let tensors = Tensors { files, places: BTreeMap::new(), names: TensorNames::default() };
        if tensors.files.size(single).await?.is_some() {
            return tensors.with_file(single).await;
        }
        if tensors.files.size(index).await?.is_none() {
            return Err(tensors.missing(single, index).await?);
        }
        tensors.with_shards(index).await
    }

    /// What to say if a model has no weights that can be read.
    async fn missing(&self, single: &str, index: &str) -> Result<Error> {
        let mut problem = format!("is not there, and neither is {index}; choose the whole directory of a model");
        for (other, advice) in OTHER_FORMATS {
            if self.files.size(other).await?.is_some() {
                problem = format!("is not there, only {other}; {advice}");
                break;
            }
        }
        Ok(Error::weights(self.files.shown(single), problem))
    }

    async fn with_shards(self, index: &str) -> Result<Self> {
        let mut tensors = self;
        let promised = shards(&tensors.files, index).await?;
        let names: BTreeSet<String> = promised.values().cloned().collect();
        for name in names {
            if tensors.files.size(&name).await?.is_none() {
                return Err(Error::weights(tensors.files.shown(index), format!("names the file {name}, which is not there")));
            }
            tensors = tensors.with_file(&name).await?;
        }
        for (tensor, file) in &promised {
            if tensors.places.get(tensor).is_none_or(|place| place.file != *file) {
                return Err(Error::weights(tensors.files.shown(file), format!("has no tensor {tensor}, which {index} says it has")));
            }
        }
        Ok(tensors)
    }

    async fn with_file(mut self, name: &str) -> Result<Self> {
        let (header, start) = header(&self.files, name).await?;
        for (tensor, info) in header.tensors() {
            let place =
                Place { file: name.to_owned(), dtype: info.dtype, shape: info.shape.clone(), start: start + info.data_offsets.0 as u64 };
            if let Some(other) = self.places.insert(tensor.clone(), place) {
                let problem = format!("holds the tensor {tensor}, which {} holds too", other.file);
                return Err(Error::weights(self.files.shown(name), problem));
            }
        }
        Ok(self)
    }

    /// The files.
    pub fn files(&self) -> &F {
        &self.files
    }

    /// The names and dtypes of all tensors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Dtype)> + Clone {
        self.places.iter().map(|(name, place)| (name.as_str(), place.dtype))
    }

    /// The same tensors, in which parameters have these names.
    pub fn with_names(self, names: TensorNames) -> Self {
        Tensors { names, ..self }
    }

    /// The names of parameters in the files.
    pub fn names(&self) -> &TensorNames {
        &self.names
    }

    /// The dtype of a parameter, if it is there.
    pub fn dtype(&self, parameter: &Parameter) -> Option<Dtype> {
        self.places.get(&self.names.of(parameter)).map(|place| place.dtype)
    }

    /// An error about a tensor, with its file.
    pub fn refuse(&self, name: &str, problem: &str) -> Error {
        let file = self.places.get(name).map_or_else(String::new, |place| self.files.shown(&place.file));
        Error::weights(file, format!("the tensor {name} {problem}"))
    }

    /// Checks that a parameter exists, with its shape and a supported dtype. `file` is named if it is missing.
    ///
    /// # Errors
    /// [`Error::Weights`] with the problem.
    pub fn check(&self, parameter: &Parameter, file: &str) -> Result<()> {
        let name = self.names.of(parameter);
        let Some(place) = self.places.get(&name) else {
            let advice = match parameter.role {
                Role::LmHead => ", since tie_word_embeddings is false; take the model with its LM head, as AutoModelForCausalLM saves it",
                _ => "",
            };
            return Err(Error::weights(
                self.files.shown(file),
                format!("has no tensor {name}, which the model in config.json needs{advice}"),
            ));
        };
        if place.shape != parameter.shape() {
            let problem = format!("has the shape {:?}, and config.json asks for {:?}", place.shape, parameter.shape());
            return Err(self.refuse(&name, &problem));
        }
        if bytes_of(place.dtype).is_none() {
            return Err(self.refuse(&name, &format!("is of type {:?}; F32, F16 and BF16 are supported", place.dtype)));
        }
        Ok(())
    }

    /// A range of rows of a parameter, which must have passed [`Tensors::check`].
    ///
    /// # Errors
    /// [`Error::Weights`] if a value is not finite. Errors of the files.
    pub async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Vec<f32>> {
        let name = self.names.of(parameter);
        let place = &self.places[&name];
        let row_bytes = u64::from(parameter.cols.size()) * bytes_of(place.dtype).expect("its type was checked");
        let at = |row: u32| place.start + u64::from(row) * row_bytes;
        let bytes = self.files.read(&place.file, at(rows.start)..at(rows.end)).await?;
        let values = to_f32(place.dtype, &bytes).expect("its type was checked");
        match values.iter().position(|value| !value.is_finite()) {
            Some(wrong) => {
                let element = u64::from(rows.start) * u64::from(parameter.cols.size()) + wrong as u64;
                Err(self.refuse(&name, &format!("holds {} at element {element}", values[wrong])))
            }
            None => Ok(values),
        }
    }
}

/// Bytes of an element; `None` if the dtype is not supported.
fn bytes_of(dtype: Dtype) -> Option<u64> {
    match dtype {
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::BF16 => Some(2),
        _ => None,
    }
}

/// The header of a file, and the offset of the first byte after it.
async fn header<F: Files>(files: &F, name: &str) -> Result<(Metadata, u64)> {
    let broken = |problem: String| Error::weights(files.shown(name), format!("is no complete safetensors file ({problem})"));
    let size = files.size(name).await?.unwrap_or(0);
    if size < PREFIX {
        return Err(broken(format!("it has {size} bytes")));
    }
    refuse_pointer(files, name, size).await?;
    let prefix = files.read(name, 0..PREFIX).await?;
    let length = u64::from_le_bytes(prefix.try_into().expect("eight bytes were read"));
    if length > MAX_HEADER_BYTES {
        return Err(broken(format!("its header claims {length} bytes, and {MAX_HEADER_BYTES} are the most")));
    }
    if PREFIX + length > size {
        return Err(broken(format!("its header claims {length} bytes, and the file has {size}")));
    }
    let bytes = files.read(name, PREFIX..PREFIX + length).await?;
    let header: Metadata = serde_json::from_slice(&bytes).map_err(|e| broken(format!("its header: {e}")))?;
    let start = PREFIX + length;
    if header.data_len() as u64 != size - start {
        return Err(broken(format!("its header speaks of {} bytes of tensors, and there are {}", header.data_len(), size - start)));
    }
    Ok((header, start))
}

/// The shard of each tensor, by the index.
///
/// # Errors
/// [`Error::Weights`] if the index is missing, malformed or empty, or names files in other directories.
pub async fn shards<F: Files>(files: &F, index: &str) -> Result<BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let refuse = |problem: String| Error::weights(files.shown(index), problem);
    let bytes = read_whole(files, index, MAX_HEADER_BYTES).await?;
    let Index { weight_map } = serde_json::from_slice(&bytes).map_err(|e| refuse(format!("is no index of weights ({e})")))?;
    if weight_map.is_empty() {
        return Err(refuse("names no tensor".to_owned()));
    }
    // Paths to other directories are refused.
    let is_beside = |name: &str| !name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && !name.starts_with('.');
    match weight_map.values().find(|name| !is_beside(name)) {
        Some(name) => Err(refuse(format!("names the file {name:?}, which is not beside it"))),
        None => Ok(weight_map),
    }
}

/// A whole file of at most `most` bytes.
///
/// # Errors
/// [`Error::Weights`] if it is missing or larger. Errors of `files`.
pub async fn read_whole<F: Files>(files: &F, name: &str, most: u64) -> Result<Vec<u8>> {
    match files.size(name).await? {
        None => Err(Error::weights(files.shown(name), "is not there; choose the whole directory of a model")),
        Some(size) if size > most => Err(Error::weights(files.shown(name), format!("has {size} bytes, and {most} are the most for it"))),
        Some(size) => {
            refuse_pointer(files, name, size).await?;
            files.read(name, 0..size).await
        }
    }
}

/// Refuses a pointer that Git LFS left in the place of a file.
async fn refuse_pointer<F: Files>(files: &F, name: &str, size: u64) -> Result<()> {
    let start = files.read(name, 0..size.min(LFS_POINTER.len() as u64)).await?;
    if start == LFS_POINTER {
        return Err(Error::weights(files.shown(name), "is a Git LFS pointer, and not the file itself; fetch it with `git lfs pull`"));
    }
    Ok(())
}
