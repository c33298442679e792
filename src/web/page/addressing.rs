//! The address follows what is shown, and what is shown follows the address.

use std::time::Duration;

use leptos::ev;
use leptos::leptos_dom::helpers::debounce;
use leptos::prelude::*;

use super::browser;
use super::state::State;
use crate::web::memory_curve::{place_of, tokens_at};
use crate::web::route::{Address, PROOF, Route};
use crate::web::see;

/// Browsers let a page change its address a few times a second, and no visitor reads it while typing.
const QUIET: Duration = Duration::from_millis(300);

/// Lets each follow the other, from now on.
pub fn follow(state: State) {
    window_event_listener(ev::hashchange, move |_| go_to(state, &browser::fragment()));
    let mut write_later = debounce(QUIET, move |()| {
        write(state);
    });
    Effect::new(move |before: Option<String>| {
        let now = shown(state).fragment();
        if before.is_some_and(|before| before != now) {
            write_later(());
        }
        now
    });
    Effect::new(move |before: Option<Route>| {
        let now = state.shell.route.get();
        let texts = state.shell.texts.get();
        browser::set_title(&format!("{} · {}", texts.route(now), texts.bar.title));
        if before.is_some_and(|before| before != now) {
            browser::scroll_to_top();
            browser::focus("main");
        }
        now
    });
}

/// The address of the proof with the same settings.
pub fn link_to_proof(state: State) -> String {
    format!("#{}", Address { route: Route::Lab, section: Some(PROOF.to_owned()), ..shown(state) }.fragment())
}

/// The address of another view with the same settings.
pub fn link(state: State, route: Route) -> String {
    format!("#{}", Address { route, ..shown(state) }.fragment())
}

/// Puts what is shown into the address, and gives all of that.
pub fn write(state: State) -> String {
    browser::replace_fragment(&untrack(|| shown(state)).fragment());
    browser::location()
}

/// What is shown.
fn shown(state: State) -> Address {
    let route = state.shell.route.get();
    let turn = state.step.cursor.get().filter(|_| route == Route::Step);
    let chapter = state.lesson.chapter.get() + 1;
    let section = (route == Route::Learn && chapter > 1).then(|| chapter.to_string());
    let length = Some(tokens_at(state.shell.see_place.get())).filter(|&length| route == Route::See && length != see::FIRST);
    state.settings.form.with(|form| Address { route, section, form: form.clone(), turn, length })
}

/// Shows what an address asks for. An address without settings leaves them as they are, and a run keeps its own.
fn go_to(state: State, fragment: &str) {
    let address = Address::parse(fragment);
    let is_other = fragment.contains('=') && state.settings.form.with_untracked(|form| form.to_pairs() != address.form.to_pairs());
    if is_other && state.run.has_run.get_untracked() {
        state.notices.notice.set(Some(state.shell.texts.get_untracked().bar.run_keeps_settings.to_owned()));
    } else if is_other {
        state.settings.form.set(address.form.clone());
    }
    state.shell.route.set(address.route);
    if let Some(length) = address.length {
        state.shell.see_place.set(place_of(see::within(length)));
    }
    if address.route == Route::Learn {
        state.lesson.go_to(address.chapter());
    }
    go_into(state, address.turn, address.section);
}

/// Goes to a moment of the step and to a part of the view, once the settings and the view have taken effect: another step has no moment
/// yet.
pub fn go_into(state: State, turn: Option<u64>, section: Option<String>) {
    let go = move || {
        state.step.cursor.set(turn);
        section.iter().for_each(|section| browser::scroll_to(section));
    };
    set_timeout(go, Duration::ZERO);
}
