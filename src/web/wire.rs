//! How a message goes from one thread of the page to another: its text, with bytes beside it.

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

/// A message with bytes beside it, and the list of what is handed over rather than copied.
pub fn pack(message: &impl Serialize, bytes: &[u8]) -> (Array, Array) {
    let text = serde_json::to_string(message).expect("messages are plain data");
    let bytes = Uint8Array::from(bytes);
    let handed_over = Array::of1(&bytes.buffer());
    (Array::of2(&JsValue::from_str(&text), &bytes), handed_over)
}

/// What [`pack`] put together.
///
/// # Panics
/// If it is anything else: all threads are of one build.
pub fn unpack<M: DeserializeOwned>(data: &JsValue) -> (M, Vec<u8>) {
    let pair: &Array = data.dyn_ref().expect("a message is a pair");
    let text = pair.get(0).as_string().expect("of a text");
    let bytes: Uint8Array = pair.get(1).dyn_into().expect("and bytes");
    (serde_json::from_str(&text).expect("page and worker are of one build"), bytes.to_vec())
}
