//! The page and its workers: one program, so that a visitor loads and compiles it once.

#[cfg(target_arch = "wasm32")]
fn main() {
    use streambp::web;
    use wasm_bindgen::JsCast;

    match js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        Ok(worker) if worker.name() == web::planner::NAME => web::planner::start(),
        Ok(_) => web::worker::start(),
        Err(_) => web::page::start(),
    }
}

/// There is a page only in a browser; natively this file is there to be checked along with all others.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
