//! Whether gradients are the same bits on this device: checked once, and kept in the browser's storage.

use super::keeping::{device_key, keep, kept};
use super::messages::send;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::train::SelfCheck;
use crate::web::protocol::FromWorker;

const FILE: &str = "self-checks";

/// Tells the page what was found earlier, if anything. Was anything?
pub async fn tell(gpu: &Gpu) -> bool {
    let found: Option<SelfCheck> = kept(FILE, &device_key(gpu)).await.unwrap_or_default();
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
    keep(FILE, device_key(gpu), found.clone()).await;
    Ok(found)
}
