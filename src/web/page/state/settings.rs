//! What the visitor has set.

use leptos::prelude::*;
use web_sys::Blob;

use crate::web::form::{Adapter, Field, Form, Plan};
use crate::web::protocol::GivenText;

/// The form, and the text that the visitor gave.
#[derive(Clone, Copy)]
pub struct Settings {
    pub form: RwSignal<Form>,
    pub text: RwSignal<Option<GivenText>>,
    /// Texts that are being read.
    pub texts_being_read: RwSignal<u32>,
    /// The file of the text.
    pub text_file: StoredValue<Option<Blob>, LocalStorage>,
    /// What decides about the chunk length of `auto`. It stays while there is a run.
    pub adapter: RwSignal<Adapter>,
    /// Tokens of the longest sequence of the run there is: its data may have none as long as the form says.
    pub longest: RwSignal<Option<u32>>,
    /// The step that the form says, or what is wrong with it.
    pub plan: Memo<Result<Plan, String>>,
    /// What is wrong with the fields of the form together. What is wrong with one of them stands beside it.
    pub contradiction: Memo<Option<String>>,
    /// Bytes that the visitor allows, if what was typed makes sense.
    pub budget: Memo<Option<u64>>,
}

impl Settings {
    pub fn new(form: Form) -> Self {
        let form = RwSignal::new(form);
        let adapter = RwSignal::new(Adapter::default());
        let longest = RwSignal::new(None);
        let plan = Memo::new(move |_| {
            let plan = form.with(|form| adapter.with(|adapter| form.plan(adapter))).map_err(|error| error.to_string())?;
            Ok(longest.get().map_or_else(|| plan.clone(), |longest| plan.with_longest(longest)))
        });
        Settings {
            form,
            text: RwSignal::new(None),
            texts_being_read: RwSignal::new(0),
            text_file: StoredValue::new_local(None),
            adapter,
            longest,
            plan,
            contradiction: Memo::new(move |_| {
                let is_of_field = || form.with(|form| Field::ALL.iter().any(|&field| form.problem(field).is_some()));
                plan.get().err().filter(|_| !is_of_field())
            }),
            budget: Memo::new(move |_| form.with(|form| form.budget().ok())),
        }
    }

    /// The length that the form says.
    pub fn seq_len(self) -> Option<u32> {
        self.form.with(|form| form.get(Field::SeqLen).trim().parse().ok()).filter(|&tokens| tokens > 0)
    }
}
