//! The files of a model, wherever they are: on disk, in memory, selected in a page, or at a URL.

use std::ops::Range;

use crate::error::Result;

/// Files by name, with access to ranges of bytes.
#[expect(async_fn_in_trait, reason = "a page has no threads, and natively nothing sends these futures between threads")]
pub trait Files {
    /// The size of a file in bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be accessed.
    async fn size(&self, name: &str) -> Result<Option<u64>>;

    /// A range of bytes of a file.
    ///
    /// # Errors
    /// If the file cannot be read.
    async fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// The name of a file for error messages.
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
