//! Messages, timers, and a watch on what the device has done.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_channel::mpsc::UnboundedSender;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, DedicatedWorkerGlobalScope};

use super::event::Event;
use crate::gpu::Gpu;
use crate::web::codec::{pack, with_files};
use crate::web::protocol::FromWorker;

/// How often the page hears where the device is.
const WATCH_MILLIS: i32 = 80;

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Tells the page something.
pub fn send(message: &FromWorker) {
    send_with_file(message, None);
}

/// Tells the page something about a file.
pub fn send_with_file(message: &FromWorker, file: Option<&Blob>) {
    let (pair, handed_over) = pack(message, &[]);
    scope().post_message_with_transfer(&with_files(&pair, file), &handed_over).expect("messages can be posted");
}

/// Wakes the worker later.
pub fn wake_after(to: &UnboundedSender<Event>, seconds: f64, event: Event) {
    let to = to.clone();
    let wake = Closure::once_into_js(move || to.unbounded_send(event).expect("the worker listens to itself"));
    let millis = (1000.0 * seconds) as i32;
    scope().set_timeout_with_callback_and_timeout_and_arguments_0(wake.unchecked_ref(), millis).expect("a worker has timers");
}

/// Waits, and lets everything else go on.
pub async fn sleep(seconds: f64) {
    let wait = js_sys::Promise::new(&mut |resolve, _| {
        let millis = (1000.0 * seconds) as i32;
        scope().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, millis).expect("a worker has timers");
    });
    wasm_bindgen_futures::JsFuture::from(wait).await.expect("a timer does not fail");
}

/// Tells the page now and then how far the device is, and the worker when the device is gone.
#[derive(Clone, Default)]
pub struct Watch(Rc<RefCell<Watched>>);

#[derive(Default)]
struct Watched {
    gpu: Option<Gpu>,
    turns: Option<Arc<AtomicU64>>,
    step: u64,
    is_going: bool,
    told: (u64, u64),
}

impl Watch {
    /// Starts to look, again and again.
    pub fn start(to: UnboundedSender<Event>) -> Self {
        let watch = Watch::default();
        let watched = watch.clone();
        let look = Closure::<dyn Fn()>::new(move || watched.look(&to)).into_js_value();
        let started = scope().set_interval_with_callback_and_timeout_and_arguments_0(look.unchecked_ref(), WATCH_MILLIS);
        started.expect("a worker has timers");
        watch
    }

    /// The device to look at.
    pub fn device(&self, gpu: Option<Gpu>) {
        self.0.borrow_mut().gpu = gpu;
    }

    /// The run to look at.
    pub fn run(&self, turns: Option<Arc<AtomicU64>>) {
        self.0.borrow_mut().turns = turns;
    }

    /// The step that is under way.
    pub fn step(&self, step: u64) {
        let mut watched = self.0.borrow_mut();
        (watched.step, watched.is_going) = (step, true);
    }

    /// Nothing is under way: what the device does now is no part of a step.
    pub fn rest(&self) {
        self.0.borrow_mut().is_going = false;
    }

    fn look(&self, to: &UnboundedSender<Event>) {
        let mut watched = self.0.borrow_mut();
        if watched.gpu.as_ref().is_some_and(Gpu::is_lost) {
            watched.gpu = None;
            to.unbounded_send(Event::Lost).expect("the worker listens to itself");
        }
        if let Some(turns) = watched.turns.as_ref().filter(|_| watched.is_going) {
            let now = (turns.load(Ordering::Relaxed), watched.step);
            if std::mem::replace(&mut watched.told, now) != now {
                send(&FromWorker::At(now.0, now.1));
            }
        }
    }
}
