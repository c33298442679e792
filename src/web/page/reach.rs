use leptos::prelude::*;

use super::T;
use super::state::State;

pub fn view(_state: State, _t: T) -> impl IntoView {}
