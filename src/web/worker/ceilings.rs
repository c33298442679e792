//! What the device does at most: measured once, and kept in the browser's storage.

use super::keeping::{device_key, keep, kept};
use super::messages::send;
use crate::error::Result;
use crate::gpu::{Ceilings, Gpu};
use crate::web::protocol::FromWorker;

const FILE: &str = "ceilings";

/// What was measured earlier, if anything was. The page is told.
pub async fn known(gpu: &Gpu) -> Option<Ceilings> {
    let ceilings: Option<Ceilings> = kept(FILE, &device_key(gpu)).await.unwrap_or_default();
    ceilings.iter().for_each(|&ceilings| send(&FromWorker::Ceilings(ceilings)));
    ceilings
}

/// Measures the device, and tells the page.
///
/// # Errors
/// If the device was lost.
pub async fn measured(gpu: &Gpu) -> Result<Ceilings> {
    let ceilings = gpu.ceilings().await?;
    send(&FromWorker::Ceilings(ceilings));
    keep(FILE, device_key(gpu), ceilings).await;
    Ok(ceilings)
}
