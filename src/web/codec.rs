//! How a message goes from one thread of the page to another: as bytes, with more bytes and files beside them.

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use web_sys::Blob;

/// A message with bytes beside it, and the list of what is handed over rather than copied.
pub fn pack(message: &impl Serialize, bytes: &[u8]) -> (Array, Array) {
    let message = postcard::to_allocvec(message).expect("messages are plain data");
    let pair = [&message, bytes].map(Uint8Array::from);
    let handed_over = pair.each_ref().map(Uint8Array::buffer);
    (Array::of2(&pair[0], &pair[1]), Array::of2(&handed_over[0], &handed_over[1]))
}

/// Puts files beside a message. They are not read for that.
pub fn with_files<'a>(message: &Array, files: impl IntoIterator<Item = &'a Blob>) -> Array {
    message.concat(&files.into_iter().collect())
}

/// The files beside a message.
pub fn files(data: &JsValue) -> Vec<Blob> {
    data.unchecked_ref::<Array>().iter().skip(2).map(JsCast::unchecked_into).collect()
}

/// What [`pack`] put together.
///
/// # Panics
/// If it is anything else: all threads are of one build.
pub fn unpack<M: DeserializeOwned>(data: &JsValue) -> (M, Vec<u8>) {
    let pair: &Array = data.dyn_ref().expect("a message is a pair");
    let [message, bytes] = [0, 1].map(|i| pair.get(i).unchecked_into::<Uint8Array>().to_vec());
    (postcard::from_bytes(&message).expect("page and worker are of one build"), bytes)
}
