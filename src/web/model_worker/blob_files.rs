//! Files that the visitor chose or that are kept in the browser. They are read by ranges where they lie, and never whole.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use js_sys::Uint8Array;
use web_sys::{Blob, FileReaderSync};

use crate::error::{Error, Result};
use crate::model::Files;
use crate::model::archive::{Entry, Kind, is_zip, pick, unpack};
use crate::web::blob::{self, slice};
use crate::web::js_error::reason;

/// Files by name.
#[derive(Clone)]
pub struct BlobFiles(pub Vec<(String, Blob)>);

/// Bytes of a zip that are read at once.
const AT_ONCE: usize = 1 << 20;

impl BlobFiles {
    /// The files of a model or of adapters among those that were chosen; they may lie in a zip, or in a folder with others.
    ///
    /// # Errors
    /// [`Error::Weights`] if they are not there, or if the zip is broken.
    pub async fn among(files: Vec<(String, Blob)>, kind: Kind) -> Result<Self> {
        if let [(name, blob)] = files.as_slice()
            && is_zip(name, &read(name, blob, 0..4).await?)
        {
            return BlobFiles::in_zip(name, blob, kind);
        }
        pick(files, kind).map(BlobFiles)
    }

    fn in_zip(name: &str, zip: &Blob, kind: Kind) -> Result<Self> {
        let entries = unpack(name, BufReader::with_capacity(AT_ONCE, Reader::new(zip)), kind)?;
        let blob = |entry| match entry {
            Entry::Within(range) => slice(zip, range),
            Entry::Unpacked(bytes) => blob::of_bytes(&bytes),
        };
        Ok(BlobFiles(entries.into_iter().map(|(name, entry)| (name, blob(entry))).collect()))
    }

    fn get(&self, name: &str) -> Option<&Blob> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, blob)| blob)
    }
}

impl Files for BlobFiles {
    async fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.get(name).map(|blob| blob.size() as u64))
    }

    async fn read(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let blob = self.get(name).unwrap_or_else(|| panic!("{name} is not in the folder"));
        let expected = range.end - range.start;
        let bytes = read(name, blob, range).await?;
        if bytes.len() as u64 == expected { Ok(bytes) } else { Err(unreadable(name, "it ends too early")) }
    }
}

async fn read(name: &str, blob: &Blob, range: Range<u64>) -> Result<Vec<u8>> {
    blob::read(blob, range).await.map(|bytes| bytes.to_vec()).map_err(|error| unreadable(name, &reason(&error)))
}

fn unreadable(name: &str, reason: &str) -> Error {
    Error::weights(name, format!("cannot be read ({reason}); it may have been changed or moved since it was chosen, so choose it again"))
}

/// Reads a file without waiting for the browser's loop, which a worker may do.
struct Reader {
    blob: Blob,
    reader: FileReaderSync,
    at: u64,
}

impl Reader {
    fn new(blob: &Blob) -> Self {
        Reader { blob: blob.clone(), reader: FileReaderSync::new().expect("a worker can read files"), at: 0 }
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let part = slice(&self.blob, self.at..self.at + into.len() as u64);
        let buffer = self.reader.read_as_array_buffer(&part).map_err(|error| io::Error::other(reason(&error)))?;
        let bytes = Uint8Array::new(&buffer);
        let count = bytes.length() as usize;
        bytes.copy_to(&mut into[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.blob.size() as u64).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
