//! The page and its workers: one program, so that a visitor loads and compiles it once.

#[cfg(target_arch = "wasm32")]
fn main() {
    use streambp::web;
    use wasm_bindgen::JsCast;

    let Ok(worker) = js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() else {
        return web::page::start();
    };
    match worker.name().as_str() {
        web::planner::NAME => web::planner::start(),
        web::librarian::NAME => web::librarian::start(),
        _ => web::worker::start(),
    }
}

/// There is a page only in a browser; natively this file is there to be checked along with all others.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
