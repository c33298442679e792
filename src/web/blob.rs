//! Files where they lie: chosen by the visitor, or in the browser's storage. They are read by ranges.

use std::ops::Range;

use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use super::js_error::reason;
use crate::error::{Error, Result};

/// Bytes that are read at once of a file that is needed whole.
const PIECE: u64 = 4 << 20;

/// Part of a file. Browsers count bytes in doubles, which hold every size that there is.
pub fn slice(blob: &Blob, range: Range<u64>) -> Blob {
    blob.slice_with_f64_and_f64(range.start as f64, range.end as f64).expect("a part of a file can be named")
}

/// The bytes of a part of a file.
pub async fn read(blob: &Blob, range: Range<u64>) -> Result<Uint8Array, JsValue> {
    Ok(Uint8Array::new(&JsFuture::from(slice(blob, range).array_buffer()).await?))
}

/// The ranges in which a file is read.
pub fn pieces(blob: &Blob) -> impl Iterator<Item = Range<u64>> + use<> {
    let size = blob.size() as u64;
    (0..size.div_ceil(PIECE)).map(move |piece| piece * PIECE..size.min((piece + 1) * PIECE))
}

/// A whole file, of which nothing is held twice. `name` is for error messages.
///
/// # Errors
/// [`Error::Data`] if it cannot be read, or is larger than memory.
pub async fn read_whole(name: &str, blob: &Blob) -> Result<Vec<u8>> {
    let size = blob.size() as usize;
    let mut bytes = Vec::new();
    let too_large = |_| Error::Data(format!("there is no memory for the {size} bytes of {name}; take a shorter text"));
    bytes.try_reserve_exact(size).map_err(too_large)?;
    for range in pieces(blob) {
        let piece = read(blob, range).await.map_err(|error| {
            let reason = reason(&error);
            Error::Data(format!("{name} cannot be read ({reason}); it may have been changed or moved, so choose it again"))
        })?;
        let read = bytes.len();
        bytes.resize(read + piece.length() as usize, 0);
        piece.copy_to(&mut bytes[read..]);
    }
    Ok(bytes)
}

/// Is it UTF-8?
///
/// # Errors
/// The browser's, if it cannot be read.
pub async fn is_utf8(blob: &Blob) -> Result<bool, JsValue> {
    // A piece, behind what the one before has of a character that goes on in it.
    let mut bytes = Vec::new();
    for range in pieces(blob) {
        bytes.extend(read(blob, range).await?.to_vec());
        match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.clear(),
            Err(error) if error.error_len().is_none() => drop(bytes.drain(..error.valid_up_to())),
            Err(_) => return Ok(false),
        }
    }
    Ok(bytes.is_empty())
}

/// A file of these bytes.
pub fn of_bytes(bytes: &[u8]) -> Blob {
    Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes))).expect("bytes make a blob")
}
