//! Whether gradients are the same bits on this device: checked once, and kept in the browser's storage.

use super::keeping::{keep, kept};
use super::messages::send;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::train::{SelfCheck, adapter_key};
use crate::web::protocol::FromWorker;

const FILE: &str = "self-checks";

/// The browser, which is the driver as far as its pages know.
pub fn browser() -> String {
    let scope: web_sys::WorkerGlobalScope = wasm_bindgen::JsCast::unchecked_into(js_sys::global());
    scope.navigator().user_agent().unwrap_or_default()
}

fn key(gpu: &Gpu) -> String {
    format!("{} {}", adapter_key(gpu), browser())
}

/// Tells the page what was found earlier, if anything. Was anything?
pub async fn tell(gpu: &Gpu) -> bool {
    let found: Option<SelfCheck> = kept(FILE, &key(gpu)).await.unwrap_or_default();
    found.iter().for_each(|found| send(&FromWorker::SelfChecked(found.same_bits)));
    found.is_some()
}

/// Checks the device, and tells the page what was found.
///
/// # Errors
/// If the device was lost.
pub async fn check(gpu: &Gpu) -> Result<SelfCheck> {
    let found = SelfCheck::of(gpu).await?;
    send(&FromWorker::SelfChecked(found.same_bits));
    keep(FILE, key(gpu), found.clone()).await;
    Ok(found)
}
