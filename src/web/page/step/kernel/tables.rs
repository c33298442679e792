//! What a kernel is given: its bindings, and the constants of its shader.

use leptos::prelude::*;

use crate::gpu::{BindingAccess, Named, Shader};
use crate::web::charts::{Binding, KernelAtWork};
use crate::web::format::whole;
use crate::web::i18n::T;

pub fn bindings(t: T, kernel: &KernelAtWork) -> impl IntoView + use<> {
    let columns = [t.kernel.binding, t.kernel.variable, t.inspector.name, t.inspector.shape, t.kernel.use_of, t.kernel.access];
    let row = |Binding { number, variable, tensor, shape: [rows, cols], is_written, access }: &Binding| {
        let shape = format!("{} × {}", whole((*rows).into()), whole((*cols).into()));
        let access = match access {
            BindingAccess::Read => "read",
            BindingAccess::ReadWrite => "read_write",
        };
        view! {
            <tr data-variable=*variable>
                <td>{*number}</td><th scope="row"><code>{*variable}</code></th><td>{tensor.clone()}</td><td>{shape}</td>
                <td>{if *is_written { t.kernel.writes } else { t.kernel.reads }}</td><td><code>{access}</code></td>
            </tr>
        }
    };
    view! {
        <h3 id="kernel-bindings-title">{t.kernel.bindings}</h3>
        <div class="scrolls" tabindex="0" role="region" aria-labelledby="kernel-bindings-title">
            <table id="kernel-bindings">
                <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
                <tbody>{kernel.bindings.iter().map(row).collect_view()}</tbody>
            </table>
        </div>
        <p class="hint">{t.kernel.access_about}</p>
    }
}

pub fn constants(t: T, shader: &Shader) -> impl IntoView + use<> {
    let Named { constants, conditions } = shader.named();
    let constant = |(name, value)| view! { <li data-constant=name><code>{name}" = "<b>{value}</b></code></li> };
    let condition = |name| view! { <li data-condition=name><code>{name}</code></li> };
    view! {
        {list(t.kernel.constants, constants.into_iter().map(constant).collect())}
        {list(t.kernel.conditions, conditions.into_iter().map(condition).collect())}
    }
}

fn list<V: IntoView>(title: &'static str, entries: Vec<V>) -> Option<impl IntoView> {
    (!entries.is_empty()).then(|| view! { <h3>{title}</h3><ul class="constants" aria-label=title>{entries}</ul> })
}
