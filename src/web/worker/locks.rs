//! Locks that all tabs of the page share. A browser without them treats every lock as free.

use std::cell::Cell;
use std::rc::Rc;

use futures_channel::oneshot;
use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::WorkerGlobalScope;

// web-sys has these behind a flag of the compiler.
#[wasm_bindgen]
extern "C" {
    type LockManager;
    #[wasm_bindgen(method)]
    fn request(this: &LockManager, name: &str, options: &Object, granted: &Function) -> Promise;
    #[wasm_bindgen(method)]
    fn query(this: &LockManager) -> Promise;
}

/// A lock that this worker holds. The browser releases it when the worker ends.
pub struct Lock(Option<Held>);

struct Held {
    release: Function,
    released: Promise,
}

impl Lock {
    /// Releases the lock, and waits until the browser has done so.
    pub async fn release(self) {
        if let Some(held) = self.0 {
            // Nothing can be thrown by what resolves a promise.
            let _ = held.release.call0(&JsValue::NULL);
            let _ = JsFuture::from(held.released).await;
        }
    }
}

/// Takes a lock. `None` if it is held, by another tab or by this worker.
pub async fn take(name: &str) -> Option<Lock> {
    let Some(locks) = locks() else { return Some(Lock(None)) };
    let (sender, answer) = oneshot::channel();
    let waiting = Rc::new(Cell::new(Some(sender)));
    let released = request(&locks, name, waiting.clone());
    let request = released.clone();
    spawn_local(async move {
        // A request that the browser refuses is not called back.
        if JsFuture::from(request).await.is_err() {
            drop(waiting.take());
        }
    });
    match answer.await {
        Ok(None) => None,
        Ok(Some(release)) => Some(Lock(Some(Held { release, released }))),
        Err(_) => Some(Lock(None)),
    }
}

/// The names of all locks that are held.
pub async fn held() -> Vec<String> {
    let Some(locks) = locks() else { return Vec::new() };
    let Ok(state) = JsFuture::from(locks.query()).await else { return Vec::new() };
    let held: Option<Array> = Reflect::get(&state, &"held".into()).ok().and_then(|held| held.dyn_into().ok());
    let name = |lock: JsValue| Reflect::get(&lock, &"name".into()).ok()?.as_string();
    held.into_iter().flat_map(|held| held.to_vec()).filter_map(name).collect()
}

fn locks() -> Option<LockManager> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let locks = Reflect::get(&scope.navigator(), &"locks".into()).ok()?;
    locks.is_object().then(|| locks.unchecked_into())
}

/// Whoever waits for a lock, until it is answered.
type Waiting = Rc<Cell<Option<oneshot::Sender<Option<Function>>>>>;

/// Asks for a lock, and answers with what releases it, or with `None` if it is held. The promise resolves when it is released.
fn request(locks: &LockManager, name: &str, waiting: Waiting) -> Promise {
    let options = Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE).expect("an object takes a field");
    let granted = Closure::once_into_js(move |lock: JsValue| -> JsValue {
        let answer = |release| drop(waiting.take().map(|waiting| waiting.send(release)));
        if lock.is_null() {
            answer(None);
            return JsValue::UNDEFINED;
        }
        // The lock is held for as long as this promise is open.
        Promise::new(&mut |release, _| answer(Some(release))).into()
    });
    locks.request(name, &options, granted.unchecked_ref())
}
