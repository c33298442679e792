//! Keeps the screen, and with it a laptop, awake while it trains.

use js_sys::{Promise, Reflect};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::browser;
use super::state::{Phase, RunState};

// web-sys has these behind a flag of the compiler.
#[wasm_bindgen]
extern "C" {
    type WakeLock;
    #[wasm_bindgen(method, catch)]
    fn request(this: &WakeLock, kind: &str) -> Result<Promise, JsValue>;

    #[derive(Clone)]
    type WakeLockSentinel;
    #[wasm_bindgen(method)]
    fn release(this: &WakeLockSentinel) -> Promise;
}

type Held = StoredValue<Option<WakeLockSentinel>, LocalStorage>;

/// Holds a wake lock while a run is trained at full speed. A browser takes it away when the page is hidden, or has none.
pub fn keep_awake(run: RunState) {
    let held: Held = StoredValue::new_local(None);
    let is_training = Memo::new(move |_| run.phase.get() == Phase::Training);
    Effect::new(move |_| if is_training.get() { spawn_local(acquire(held, is_training)) } else { release(held) });
    window_event_listener_untyped("visibilitychange", move |_| {
        if browser::is_visible() && is_training.get_untracked() {
            spawn_local(acquire(held, is_training));
        }
    });
}

async fn acquire(held: Held, is_training: Memo<bool>) {
    let Some(sentinel) = request().await else { return };
    release(held);
    held.set_value(Some(sentinel));
    // The run may have been paused meanwhile.
    if !is_training.get_untracked() {
        release(held);
    }
}

async fn request() -> Option<WakeLockSentinel> {
    let navigator = window().navigator();
    let wake_lock = Reflect::get(&navigator, &"wakeLock".into()).ok().filter(JsValue::is_object)?;
    let request = wake_lock.unchecked_into::<WakeLock>().request("screen").ok()?;
    Some(JsFuture::from(request).await.ok()?.unchecked_into())
}

fn release(held: Held) {
    if let Some(sentinel) = held.try_update_value(Option::take).flatten() {
        // One that the browser has taken away is released already.
        spawn_local(async move { drop(JsFuture::from(sentinel.release()).await) });
    }
}
