//! A picture of the page alone, for a frame in another page: `?embed=mountains`, `?embed=grid`, `?embed=lesson-3`. It takes what its address says, and needs
//! no device.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::components::tooltip;
use super::learn::{self, Lesson};
use super::state::{LessonState, Settings, StepState};
use super::{browser, language, see, step};
use crate::web::i18n::{T, Texts};
use crate::web::memory_curve::place_of;
use crate::web::route::Address;
use crate::web::see::{FIRST, within};

/// Shows the picture of that name. Is there one?
pub fn show(name: &str) -> bool {
    let address = Address::parse(&browser::fragment());
    match name {
        "mountains" => mount_to_body(move || {
            let place = RwSignal::new(place_of(within(address.length.unwrap_or(FIRST))));
            in_own_language(move |t, _| see::embedded(t, place).into_any())
        }),
        "grid" => mount_to_body(move || {
            let settings = Settings::new(address.form.clone());
            let step = StepState::new(settings, RwSignal::new(0));
            step.cursor.set(address.turn);
            in_own_language(move |t, _| step::embedded(settings, step, t).into_any())
        }),
        _ => match name.strip_prefix("lesson-").and_then(|number| number.parse::<usize>().ok()) {
            Some(number @ 1..) => mount_to_body(move || lesson(number - 1)),
            _ => return false,
        },
    }
    true
}

fn lesson(chapter: usize) -> impl IntoView {
    let lesson = LessonState::new();
    lesson.go_to(chapter);
    in_own_language(move |t, language| learn::article(Lesson::framed(lesson, language), t).into_any())
}

/// A view in the language that the visitor chose earlier, or the browser's: it is given the texts and the language's name.
fn in_own_language(view: impl Fn(T, &'static str) -> AnyView + Send + 'static) -> impl IntoView {
    let shown = RwSignal::new((Texts::english(), "en"));
    if let Some(name) = language::preferred() {
        spawn_local(async move {
            if let Some(found) = language::texts(name).await {
                browser::set_root_attribute("lang", name);
                shown.set((found, name));
            }
        });
    }
    let view = move || {
        let (texts, name) = shown.get();
        view(texts, name)
    };
    view! { {view} {tooltip::view()} }
}
