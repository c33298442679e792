//! A text of the visitor's: dropped, chosen, pasted or fetched. It stays in its file, which workers read piece by piece.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Blob, File};

use crate::web::blob;
use crate::web::form::SourceChoice;
use crate::web::i18n::{T, fill};
use crate::web::page::state::State;
use crate::web::protocol::{GivenText, may_be_rows};

/// Bytes by which rows of JSON are recognised.
const START_BYTES: u64 = 1 << 16;

/// Takes a text.
pub async fn take(state: State, t: T, name: String, file: Blob) {
    if state.run.has_run.get_untracked() {
        return state.show_error(t.failures.run_in_progress);
    }
    state.settings.texts_being_read.update(|count| *count += 1);
    let is_utf8 = blob::is_utf8(&file).await;
    state.settings.texts_being_read.update(|count| *count -= 1);
    match is_utf8 {
        Ok(true) => {}
        Ok(false) => return state.show_error(&fill(t.failures.not_utf8, &[("name", &name)])),
        Err(_) => return state.show_error(&fill(t.failures.unreadable, &[("name", &name)])),
    }
    let Ok(start) = blob::read(&file, 0..START_BYTES).await else {
        return state.show_error(&fill(t.failures.unreadable, &[("name", &name)]));
    };
    let may_be_rows = may_be_rows(&name, &start.to_vec());
    // It may have been started meanwhile.
    if state.run.has_run.get_untracked() {
        return state.show_error(t.failures.run_in_progress);
    }
    state.recover();
    let written = file.dyn_ref().map_or_else(js_sys::Date::now, File::last_modified);
    state.settings.text.set(Some(GivenText { name, size: file.size() as u64, written: (written / 1000.0) as u64, may_be_rows }));
    state.settings.text_file.set_value(Some(file));
    state.settings.form.update(|form| form.set_source(SourceChoice::Text));
}
