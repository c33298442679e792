//! What the page asks of the browser beside drawing: downloads, the link, the visitor's preferences.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, BlobPropertyBag, CanvasRenderingContext2d, Element, HtmlAnchorElement, HtmlCanvasElement, HtmlElement, HtmlImageElement,
    PointerEvent, Response, Url, UrlSearchParams, VisibilityState,
};

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
    save(name, &Blob::new_with_u8_array_sequence_and_options(&parts, &properties).expect("bytes make a blob"));
}

fn save(name: &str, blob: &Blob) {
    let url = Url::create_object_url_with_blob(blob).expect("a blob has an address");
    let anchor: HtmlAnchorElement = document().create_element("a").expect("there are anchors").unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    // The browser has taken the blob by the next turn of its loop, but says nothing of it.
    let revoke = Closure::once_into_js(move || Url::revoke_object_url(&url));
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(revoke.unchecked_ref(), 10_000);
}

/// Gives the visitor an SVG picture as PNG, with two pixels for each of its own.
pub fn download_png(svg: &str, name: &str, [width, height]: [u32; 2]) {
    let image = HtmlImageElement::new().expect("there are images");
    let canvas: HtmlCanvasElement = document().create_element("canvas").expect("there are canvases").unchecked_into();
    canvas.set_width(2 * width);
    canvas.set_height(2 * height);
    let (drawn, name) = (image.clone(), name.to_owned());
    let draw = Closure::once_into_js(move || {
        let context = canvas.get_context("2d").ok().flatten().and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
        let Some(context) = context else { return };
        let [w, h] = [width, height].map(|size| f64::from(2 * size));
        if context.draw_image_with_html_image_element_and_dw_and_dh(&drawn, 0.0, 0.0, w, h).is_err() {
            return;
        }
        let save = Closure::once_into_js(move |blob: Blob| save(&name, &blob));
        let _ = canvas.to_blob_with_type(save.unchecked_ref(), "image/png");
    });
    image.set_onload(Some(draw.unchecked_ref()));
    image.set_src(&format!("data:image/svg+xml;charset=utf-8,{}", js_sys::encode_uri_component(svg)));
}

/// The picture on the canvas within the element with that id, as the address of its data; empty if there is none.
pub fn canvas_picture(id: &str) -> String {
    let canvas = document().get_element_by_id(id).and_then(|element| element.query_selector("canvas").ok().flatten());
    canvas.and_then(|canvas| canvas.dyn_into::<HtmlCanvasElement>().ok()?.to_data_url().ok()).unwrap_or_default()
}

/// A colour of the style sheet, as the theme has it now.
pub fn css_colour(name: &str) -> String {
    let probe: HtmlElement = document().create_element("span").expect("there are spans").unchecked_into();
    let body = document().body().expect("a page has a body");
    let _ = probe.style().set_property("color", &format!("var(--{name})"));
    let _ = body.append_child(&probe);
    let style = window().get_computed_style(&probe).ok().flatten();
    let colour = style.and_then(|style| style.get_property_value("color").ok()).unwrap_or_default();
    probe.remove();
    colour
}

/// What stands behind the `#` of the page's address.
pub fn fragment() -> String {
    window().location().hash().unwrap_or_default().trim_start_matches('#').to_owned()
}

/// Puts that there, without a new entry in the browser's history.
pub fn replace_fragment(fragment: &str) {
    let history = window().history().expect("a window has a history");
    // A browser refuses if it was asked too often; then the address is a moment behind.
    let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&format!("#{fragment}")));
}

/// The page's address.
pub fn location() -> String {
    window().location().href().unwrap_or_default()
}

/// Sets the title that the browser shows.
pub fn set_title(title: &str) {
    document().set_title(title);
}

pub fn scroll_to_top() {
    window().scroll_to_with_x_and_y(0.0, 0.0);
}

/// Scrolls to the element with that id, if there is one.
pub fn scroll_to(id: &str) {
    document().get_element_by_id(id).iter().for_each(Element::scroll_into_view);
}

/// Moves the focus to the element with that id.
pub fn focus(id: &str) {
    let element = document().get_element_by_id(id).and_then(|element| element.dyn_into::<HtmlElement>().ok());
    element.iter().for_each(|element| {
        let _ = element.focus();
    });
}

/// The same once the next frame has been drawn, for an element that is still to come.
pub fn focus_next_frame(id: &'static str) {
    let later = Closure::once_into_js(move || focus(id));
    let _ = window().request_animation_frame(later.unchecked_ref());
}

/// Is the focus on an element of these?
pub fn focus_takes(tags: &[&str]) -> bool {
    document().active_element().is_some_and(|element| tags.contains(&element.tag_name().as_str()))
}

/// Is there room for something beside a view?
pub fn has_room_beside() -> bool {
    window().match_media("(min-width: 60rem)").ok().flatten().is_some_and(|query| query.matches())
}

/// The picture that the address asks for alone, as a frame in another page does.
pub fn embedded() -> Option<String> {
    let search = window().location().search().unwrap_or_default();
    UrlSearchParams::new_with_str(&search).expect("any text can be searched").get("embed")
}

/// Removes the element with that id, if there is one.
pub fn remove(id: &str) {
    document().get_element_by_id(id).iter().for_each(Element::remove);
}

/// Puts a text on the clipboard, where the browser lets a page do so.
pub async fn copy(text: &str) -> bool {
    JsFuture::from(window().navigator().clipboard().write_text(text)).await.is_ok()
}

/// Fetches a file.
pub async fn fetch_file(address: &str) -> Option<Blob> {
    let response: Response = JsFuture::from(window().fetch_with_str(address)).await.ok()?.unchecked_into();
    if !response.ok() {
        return None;
    }
    Some(JsFuture::from(response.blob().ok()?).await.ok()?.unchecked_into())
}

/// Fetches a text.
pub async fn fetch_text(address: &str) -> Option<String> {
    let file = fetch_file(address).await?;
    JsFuture::from(file.text()).await.ok()?.as_string()
}

/// Is the page to be seen?
pub fn is_visible() -> bool {
    document().visibility_state() == VisibilityState::Visible
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

/// How far across its element a pointer is, from 0 at the left to 1.
pub fn share_across(event: &PointerEvent) -> f64 {
    let Some(element) = event.current_target().and_then(|target| target.dyn_into::<Element>().ok()) else { return 0.0 };
    let bounds = element.get_bounding_client_rect();
    ((f64::from(event.client_x()) - bounds.left()) / bounds.width().max(1.0)).clamp(0.0, 1.0)
}

/// Moves the focus among the elements that a selector finds; to the first if it is on none of them. Is there one to move to?
pub fn focus_next(selector: &str, by: i32) -> bool {
    let Ok(found) = document().query_selector_all(selector) else { return false };
    let active = document().active_element();
    let elements = || (0..found.length()).filter_map(|i| found.item(i)?.dyn_into::<HtmlElement>().ok());
    let at = elements().position(|element| active.as_ref().is_some_and(|active| element.is_same_node(Some(active))));
    let next = at.map_or(Some(0), |at| at.checked_add_signed(by as isize));
    next.and_then(|next| elements().nth(next)).is_some_and(|element| element.focus().is_ok())
}

/// Scrolls within an element: the next group of adjacent children that match comes to its top, and the first one after the last.
pub fn scroll_on(id: &str, selector: &str) {
    let Some(around) = document().get_element_by_id(id) else { return };
    let top = around.get_bounding_client_rect().top();
    let is_first = |element: &Element| !element.previous_element_sibling().is_some_and(|before| before.matches(selector).unwrap_or(false));
    let groups = elements_within(&around, selector).filter(is_first).map(|element| element.get_bounding_client_rect().top() - top);
    let groups: Vec<f64> = groups.collect();
    let Some(first) = groups.first() else { return };
    let before = around.scroll_top();
    // What is less than a pixel below the top is there.
    around.scroll_by_with_x_and_y(0.0, *groups.iter().find(|below| **below > 1.0).unwrap_or(first));
    if around.scroll_top() == before {
        around.scroll_by_with_x_and_y(0.0, *first);
    }
}

/// The elements within another that a selector finds.
pub fn elements_within(element: &Element, selector: &str) -> impl Iterator<Item = Element> + use<> {
    let found = element.query_selector_all(selector).ok();
    let count = found.as_ref().map_or(0, web_sys::NodeList::length);
    (0..count).filter_map(move |i| found.as_ref()?.item(i)?.dyn_into().ok())
}

/// The width and height of what is seen of the page, in pixels.
pub fn viewport() -> [f64; 2] {
    let pixels = |value: Result<JsValue, JsValue>| value.ok().and_then(|value| value.as_f64()).unwrap_or(0.0);
    [pixels(window().inner_width()), pixels(window().inner_height())]
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

/// Sets an attribute of the whole document, or takes it away.
pub fn toggle_root_attribute(name: &str, is_set: bool) {
    let root = document().document_element().expect("a document has a root");
    let _ = root.toggle_attribute_with_force(name, is_set);
}

/// Is the page on the whole screen?
pub fn is_full_screen() -> bool {
    document().fullscreen_element().is_some()
}

/// Shows the page on the whole screen, or no longer. A browser that refuses shows it in its window.
pub fn set_full_screen(is_full: bool) {
    let root = document().document_element().expect("a document has a root");
    if !is_full && is_full_screen() {
        document().exit_fullscreen();
    } else if is_full
        && let Ok(asked) = js_sys::Reflect::get(&root, &"requestFullscreen".into()).and_then(JsCast::dyn_into::<js_sys::Function>)
        && let Ok(promise) = asked.call0(&root)
    {
        // Where it is refused nothing is lost.
        let promise: js_sys::Promise = promise.unchecked_into();
        wasm_bindgen_futures::spawn_local(async move { drop(JsFuture::from(promise).await) });
    }
}
