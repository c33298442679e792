//! What the page asks of the browser beside drawing: downloads, the link, what it remembers of the visitor's taste.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Response, Url, UrlSearchParams};

use crate::web::form::Form;

fn window() -> web_sys::Window {
    web_sys::window().expect("a page has a window")
}

fn document() -> web_sys::Document {
    window().document().expect("a window has a document")
}

/// Gives the visitor a file.
pub fn download(name: &str, kind: &str, bytes: &[u8]) {
    let properties = BlobPropertyBag::new();
    properties.set_type(kind);
    let parts = Array::of1(&Uint8Array::from(bytes));
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &properties).expect("bytes make a blob");
    let url = Url::create_object_url_with_blob(&blob).expect("a blob has an address");
    let anchor: HtmlAnchorElement = document().create_element("a").expect("there are anchors").unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    // The browser has taken the blob by the next turn of its loop, but says nothing of it.
    let revoke = Closure::once_into_js(move || Url::revoke_object_url(&url));
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(revoke.unchecked_ref(), 10_000);
}

/// The form that the page's address asks for.
pub fn form_of_link() -> Form {
    let hash = window().location().hash().unwrap_or_default();
    let parameters = UrlSearchParams::new_with_str(hash.trim_start_matches('#')).expect("any text can be searched");
    let pairs = js_sys::try_iter(&parameters).ok().flatten().into_iter().flatten().filter_map(|pair| {
        let pair: Array = pair.ok()?.dyn_into().ok()?;
        Some((pair.get(0).as_string()?, pair.get(1).as_string()?))
    });
    Form::from_pairs(pairs)
}

/// Puts the form in the page's address, and gives that.
pub fn link_of_form(form: &Form) -> String {
    let parameters = UrlSearchParams::new().expect("there is an empty search");
    form.to_pairs().iter().for_each(|(name, value)| parameters.append(name, value));
    let location = window().location();
    let _ = location.set_hash(&String::from(parameters.to_string()));
    location.href().unwrap_or_default()
}

/// Puts a text on the clipboard, where the browser lets a page do so.
pub async fn copy(text: &str) -> bool {
    JsFuture::from(window().navigator().clipboard().write_text(text)).await.is_ok()
}

/// Fetches a text.
pub async fn fetch_text(address: &str) -> Option<String> {
    let response: Response = JsFuture::from(window().fetch_with_str(address)).await.ok()?.unchecked_into();
    if !response.ok() {
        return None;
    }
    let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
    String::from_utf8(Uint8Array::new(&buffer).to_vec()).ok()
}

/// What the visitor chose at an earlier visit.
pub fn remembered(key: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(key).ok().flatten()
}

/// Remembers a choice, where the browser lets a page do so.
pub fn remember(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(key, value);
    }
}

/// The first of the browser's languages, as `en` or `ko-KR`.
pub fn language() -> String {
    window().navigator().language().unwrap_or_default()
}

/// Sets an attribute of the whole document.
pub fn set_root_attribute(name: &str, value: &str) {
    let root = document().document_element().expect("a document has a root");
    root.set_attribute(name, value).expect("the attribute has a name");
}
