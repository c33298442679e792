//! The librarian: the program of the page's worker that opens, fetches and saves models.

#[cfg(target_arch = "wasm32")]
fn main() {
    streambp::web::librarian::start();
}

/// There is a page only in a browser; natively this file is there to be checked along with all others.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
