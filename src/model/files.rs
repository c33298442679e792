//! The files of a model, wherever they are: on disk, in memory, chosen in a page, at an address.

use std::ops::Range;

use crate::error::Result;

/// Files by name, which can be read in part.
#[expect(async_fn_in_trait, reason = "a page has no threads, and elsewhere files are read where they are asked for")]
pub trait Files {
    /// Bytes of a file; nothing if there is no such file.
    async fn size(&self, name: &str) -> Result<Option<u64>>;

    /// Some bytes of a file.
    async fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// The file as an error names it.
    fn shown(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemoryFiles(pub Vec<(String, Vec<u8>)>);

impl InMemoryFiles {
    fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, bytes)| bytes.as_slice())
    }
}

impl Files for InMemoryFiles {
    async fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.bytes(name).map(|bytes| bytes.len() as u64))
    }

    async fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let bytes = self.bytes(name).unwrap_or_else(|| panic!("{name} is not held"));
        Ok(bytes[range.start as usize..range.end as usize].to_vec())
    }
}
