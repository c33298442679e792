//! What was found out about a device, and is kept in the browser's storage: a file for each kind, with a value for each key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gpu::Gpu;
use crate::train::adapter_key;
use crate::web::storage;

/// The browser, which is the driver as far as its pages know.
pub fn browser() -> String {
    let scope: web_sys::WorkerGlobalScope = wasm_bindgen::JsCast::unchecked_into(js_sys::global());
    scope.navigator().user_agent().unwrap_or_default()
}

/// The key of what is known of a device.
pub fn device_key(gpu: &Gpu) -> String {
    format!("{} {}", adapter_key(gpu), browser())
}

/// The values of a file. `None` if the browser keeps nothing. A file that is not there, or that another version wrote, has none.
async fn read<T: DeserializeOwned>(file: &str) -> Option<Vec<(String, T)>> {
    let directory = storage::root().await.ok()?;
    let bytes = storage::read(&directory, file).await.unwrap_or_default();
    Some(postcard::from_bytes(&bytes).unwrap_or_default())
}

/// The value of a key in a file; `Err` if the browser keeps nothing.
pub async fn kept<T: DeserializeOwned>(file: &str, key: &str) -> Result<Option<T>, ()> {
    let values = read(file).await.ok_or(())?;
    Ok(values.into_iter().find(|(other, _)| other == key).map(|(_, value)| value))
}

/// Keeps a value, if the browser keeps any. Who reads it again sees whether it was kept.
pub async fn keep<T: Serialize + DeserializeOwned>(file: &str, key: String, value: T) {
    let (Some(mut values), Ok(directory)) = (read::<T>(file).await, storage::root().await) else { return };
    values.retain(|(other, _)| *other != key);
    values.push((key, value));
    let _ = storage::write(&directory, file, &[&postcard::to_allocvec(&values).expect("it is plain data")]).await;
}
