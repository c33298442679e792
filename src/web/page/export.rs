//! The pictures and the trace as files.

use std::sync::Arc;

use leptos::prelude::*;

use super::T;
use super::state::{Plans, State};

pub fn view(_state: State, _t: T, _plans: Arc<Plans>) -> impl IntoView {}
