//! The page and its worker. They talk by [`protocol`]; what pictures show is computed in [`charts`], [`axis`] and [`curve`],
//! which know nothing of a browser.

pub mod address;
pub mod axis;
pub mod charts;
pub mod curve;
pub mod form;
pub mod format;
pub mod histogram;
pub mod i18n;
pub mod lesson;
pub mod memory_curve;
pub mod metrics;
pub mod model_protocol;
pub mod protocol;
pub mod published;
pub mod question;
pub mod route;
pub mod run_files;
pub mod save_file;
pub mod see;

#[cfg(target_arch = "wasm32")]
mod blob;
#[cfg(target_arch = "wasm32")]
mod codec;
#[cfg(target_arch = "wasm32")]
mod js_error;
#[cfg(target_arch = "wasm32")]
pub mod model_worker;
#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(target_arch = "wasm32")]
pub mod planner;
#[cfg(target_arch = "wasm32")]
mod storage;
#[cfg(target_arch = "wasm32")]
pub mod worker;
