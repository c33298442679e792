//! What the lesson shows from: where it stands, what is true, and the device, if there is one.

use std::sync::Arc;

use leptos::prelude::*;

use crate::web::lesson::Facts;
use crate::web::page::state::{LessonState, State};

/// The lesson, and what it may use: in a frame of another page, there is no device.
#[derive(Clone, Copy)]
pub struct Lesson {
    pub lesson: LessonState,
    pub language: RwSignal<&'static str>,
    pub facts: Memo<Arc<Facts>>,
    pub device: Option<State>,
}

impl Lesson {
    /// The lesson of the page.
    pub fn new(state: State) -> Self {
        let times = move || {
            let timed =
                state.lab.compared.with(|compared| compared.iter().map(|(_, time)| time.clone().ok()).collect::<Option<Vec<f64>>>())?;
            let times: [f64; 3] = timed.try_into().ok()?;
            Some((times, state.device.adapter.with(|adapter| adapter.as_ref().map(|adapter| adapter.name.clone()))?))
        };
        Lesson::of(state.lesson, state.shell.language, Some(state), times)
    }

    /// The lesson without a device.
    pub fn framed(lesson: LessonState, language: &'static str) -> Self {
        Lesson::of(lesson, RwSignal::new(language), None, || None)
    }

    fn of(
        lesson: LessonState,
        language: RwSignal<&'static str>,
        device: Option<State>,
        times: impl Fn() -> Option<([f64; 3], String)> + Send + Sync + 'static,
    ) -> Self {
        let facts = Memo::new(move |_| {
            let facts = Facts { times: times(), ..(*lesson.planned.get()).clone() };
            Arc::new(lesson.recorded.with(|recorded| recorded.iter().fold(facts, |facts, recorded| facts.with_recorded(recorded))))
        });
        Lesson { lesson, language, facts, device }
    }
}
