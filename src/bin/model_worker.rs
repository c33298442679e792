//! The model worker: the program of the page's worker that opens, fetches and saves models.

#[cfg(target_arch = "wasm32")]
fn main() {
    streambp::web::model_worker::start();
}

/// The page exists only in a browser. Natively this file exists to be type-checked.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
