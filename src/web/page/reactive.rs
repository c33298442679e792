//! What changes by itself, each kind of one type: code for views is made anew for every type that it meets, and a closure is
//! one of its own.

use leptos::prelude::*;

/// A text that changes.
pub fn words(text: impl Fn() -> String + Send + Sync + 'static) -> Signal<String> {
    Signal::derive(text)
}

/// An attribute that changes, and is not always there.
pub fn perhaps(text: impl Fn() -> Option<String> + Send + Sync + 'static) -> Signal<Option<String>> {
    Signal::derive(text)
}

/// A yes or no that changes.
pub fn truth(is_true: impl Fn() -> bool + Send + Sync + 'static) -> Signal<bool> {
    Signal::derive(is_true)
}

/// A part of the page that is drawn anew.
pub fn shown<V: IntoView + 'static>(view: impl Fn() -> V + Send + 'static) -> Box<dyn FnMut() -> AnyView + Send> {
    Box::new(move || view().into_any())
}
