//! The lesson on a projector: the whole screen, large type, no form.

use leptos::ev;
use leptos::prelude::*;

use crate::web::page::browser;
use crate::web::page::state::State;
use crate::web::route::Route;

/// Shows the lesson on the whole screen, from whichever view.
pub fn begin(state: State) {
    state.shell.route.set(Route::Learn);
    state.lesson.presents.set(true);
}

/// Lets the page follow: its look, and the browser's full screen, which a visitor can also leave by the browser's own keys.
pub fn follow(state: State) {
    let presents = state.lesson.presents;
    Effect::new(move |before: Option<bool>| {
        let now = presents.get();
        browser::toggle_root_attribute("data-present", now);
        if before.is_some_and(|before| before != now) {
            browser::set_full_screen(now);
        }
        now
    });
    // Another view is never presented.
    Effect::new(move |_| {
        if state.shell.route.get() != Route::Learn && presents.get_untracked() {
            presents.set(false);
        }
    });
    window_event_listener(ev::fullscreenchange, move |_| {
        if !browser::is_full_screen() && presents.get_untracked() {
            presents.set(false);
        }
    });
}
