//! The page and its workers: one program, so that a browser downloads and compiles it once.

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

/// The page exists only in a browser. Natively this file exists to be type-checked.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
