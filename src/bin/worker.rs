//! The page's worker: holds the device, and trains.

#[cfg(target_arch = "wasm32")]
fn main() {
    streambp::web::worker::start();
}

/// There is a worker only in a browser; natively this file is there to be checked along with all others.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
