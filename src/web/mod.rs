//! The page and its worker. They talk by [`protocol`]; what pictures show is computed in [`picture`], [`chart`] and [`curve`],
//! which know nothing of a browser.

pub mod address;
pub mod chart;
pub mod curve;
pub mod form;
pub mod format;
pub mod library;
pub mod metrics;
pub mod picture;
pub mod protocol;
pub mod published;
pub mod reach;
pub mod route;
pub mod save_file;
pub mod see;
pub mod texts;

#[cfg(target_arch = "wasm32")]
mod blob;
#[cfg(target_arch = "wasm32")]
mod js_error;
#[cfg(target_arch = "wasm32")]
pub mod librarian;
#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(target_arch = "wasm32")]
pub mod planner;
#[cfg(target_arch = "wasm32")]
mod storage;
#[cfg(target_arch = "wasm32")]
mod wire;
#[cfg(target_arch = "wasm32")]
pub mod worker;
