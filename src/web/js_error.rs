//! What the browser says when something fails.

use wasm_bindgen::prelude::*;

/// Its message.
pub fn reason(error: &JsValue) -> String {
    text_field(error, "message").or_else(|| error.as_string()).unwrap_or_else(|| "no reason is given".to_owned())
}

/// Is it the exception of that name?
pub fn is_named(error: &JsValue, name: &str) -> bool {
    text_field(error, "name").as_deref() == Some(name)
}

fn text_field(error: &JsValue, name: &str) -> Option<String> {
    js_sys::Reflect::get(error, &name.into()).ok()?.as_string().filter(|text| !text.is_empty())
}
