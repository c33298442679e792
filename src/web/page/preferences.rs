//! The visitor's preferences: language and theme.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::state::State;
use super::{browser, language};
use crate::train::Language;
use crate::web::form::Form;
use crate::web::i18n::{LANGUAGES, T};

/// Themes there are, by what the style sheet knows them as.
const THEMES: [&str; 3] = ["system", "light", "dark"];

/// Takes the language and the theme that the visitor chose earlier, or what the browser says.
pub fn take_remembered(state: State) {
    if let Some(name) = language::preferred() {
        speak(state, name);
    }
    browser::set_root_attribute("data-theme", &theme());
}

fn theme() -> String {
    browser::remembered("theme").filter(|theme| THEMES.contains(&theme.as_str())).unwrap_or_else(|| THEMES[0].to_owned())
}

/// Changes the language. One whose file cannot be had leaves the page as it is.
fn speak(state: State, name: &'static str) {
    spawn_local(async move {
        if let Some(texts) = language::texts(name).await {
            browser::set_root_attribute("lang", name);
            state.shell.language.set(name);
            tell_stories_in(state, name);
            state.shell.texts.set(texts);
        }
    });
}

/// Stories are told in the language of the page, until a run is trained on them.
fn tell_stories_in(state: State, name: &str) {
    let language = if name == "ko" { Language::Korean } else { Language::English };
    let tells = |form: &Form| form.source.language().is_some_and(|other| other != language);
    if !state.run.has_run.get_untracked() && state.settings.form.with_untracked(tells) {
        state.settings.form.update(|form| form.set_source(form.source.in_language(language)));
    }
}

pub fn view(state: State, t: T) -> impl IntoView {
    let choose_language = move |chosen: String| {
        if let Some((name, _)) = LANGUAGES.iter().find(|(name, _)| *name == chosen) {
            browser::remember("language", name);
            speak(state, name);
        }
    };
    let choose_theme = move |chosen: String| {
        browser::remember("theme", &chosen);
        browser::set_root_attribute("data-theme", &chosen);
    };
    let names = [t.bar.theme_system, t.bar.theme_light, t.bar.theme_dark];
    let themes = THEMES.into_iter().zip(names).map(|(theme_name, name)| {
        view! { <option value=theme_name selected=theme() == theme_name>{name}</option> }
    });
    let languages = LANGUAGES.map(|(name, own_name)| {
        view! { <option value=name lang=name selected=move || state.shell.language.get() == name>{own_name}</option> }
    });
    view! {
        <select id="language" aria-label=t.bar.language on:change=move |event| choose_language(event_target_value(&event))>
            {languages}
        </select>
        <select id="theme" aria-label=t.bar.theme on:change=move |event| choose_theme(event_target_value(&event))>
            {themes.collect_view()}
        </select>
    }
}
