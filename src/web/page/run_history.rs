//! Runs that are over, to be held against others.

use leptos::prelude::*;

use super::state::State;
use crate::web::form::Form;
use crate::web::protocol::History;

/// A run that is over.
#[derive(Clone)]
pub struct PastRun {
    /// Its number, from 1.
    pub number: usize,
    /// Its settings.
    pub form: Form,
    /// Bytes of its buffers.
    pub bytes: u64,
    /// What it did.
    pub history: History,
    /// Are its curves laid over the current ones?
    pub is_shown: RwSignal<bool>,
}

/// Keeps the run that ends now, if it did anything.
pub fn remember(state: State) {
    let history = state.history.get_untracked();
    let number = state.past.with_untracked(|past| past.last().map_or(1, |run| run.number + 1));
    if history.steps.is_empty() || state.past.with_untracked(|past| past.last().is_some_and(|run| run.history == history)) {
        return;
    }
    let bytes = state.run_bytes.get_untracked().map_or(0, |(_, created)| created);
    let run = PastRun { number, form: state.form.get_untracked(), bytes, history, is_shown: RwSignal::new(false) };
    state.past.update(|past| past.push(run));
}
