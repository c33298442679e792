//! The page's side, in the browser.

mod controls;
mod grid;
mod link;
mod memory;
mod progress;
mod setup;
mod state;

use leptos::prelude::*;

use super::texts;
use state::State;

/// Shows the page.
pub fn start() {
    console_error_panic_hook::set_once();
    mount_to_body(page);
}

fn page() -> impl IntoView {
    let state = State::new();
    view! {
        <header>
            <h1>{texts::TITLE} <span>{texts::SUBTITLE}</span></h1>
            <p>{texts::ABOUT}</p>
        </header>
        <main>
            <div class="column">{setup::view(state)}</div>
            <div class="column">{controls::view(state)} {progress::view(state)}</div>
            {memory::view(state)}
        </main>
    }
}
