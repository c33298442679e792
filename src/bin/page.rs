//! The page and its worker: one program, so that a visitor loads and compiles it once.

#[cfg(target_arch = "wasm32")]
fn main() {
    use streambp::web;
    use wasm_bindgen::JsCast;

    if js_sys::global().is_instance_of::<web_sys::DedicatedWorkerGlobalScope>() {
        web::worker::start();
    } else {
        web::page::start();
    }
}

/// There is a page only in a browser; natively this file is there to be checked along with all others.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
