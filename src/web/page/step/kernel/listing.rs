//! The source of a kernel: the file as it is written, its marked lines explained, and what the driver is given.

use std::sync::Arc;

use leptos::prelude::*;

use crate::gpu::{File, Line, Mark, Shader, pieces};
use crate::web::charts::KernelAtWork;
use crate::web::i18n::{T, fill};
use crate::web::page::browser;

pub fn view(t: T, shader: &Shader, kernel: Memo<Option<Arc<KernelAtWork>>>) -> impl IntoView + use<> {
    let files = shader.listing();
    let lines: Vec<&Line> = files.iter().flat_map(|file| &file.lines).collect();
    let file = fill(t.kernel.source, &[("file", &format!("{}.wgsl", shader.file()))]);
    let leaves_out = lines.iter().any(|line| !line.is_used);
    view! {
        <h3 id="kernel-source-title">{file}</h3>
        <p class="hint">{t.kernel.source_about} " " {leaves_out.then_some(t.kernel.left_out)}</p>
        {legend(t, shader, &lines)}
        <pre class="code" id="kernel-source" tabindex="0" role="region" aria-labelledby="kernel-source-title"><code>
            {files.iter().enumerate().map(|(place, file)| view_file(t, shader, place, file)).collect_view()}
        </code></pre>
        {expanded(t, kernel)}
    }
}

/// What the marked lines of a kernel do, each in a sentence.
fn legend(t: T, shader: &Shader, lines: &[&Line]) -> Option<impl IntoView + use<>> {
    let is_there = |mark: &Mark| lines.iter().any(|line| line.mark == Some(*mark));
    let entries = Mark::ALL.into_iter().filter(is_there).map(|mark| {
        let sentence = t.kernel_line(shader.kind, mark).to_owned();
        let go = move |_| browser::scroll_on("kernel-source", &format!(".line[data-mark={}]", mark.name()));
        view! {
            <li data-mark=mark.name()>
                <button type="button" class="quiet" data-tip=t.kernel.next_line on:click=go>{letter(t, mark)} {t.mark(mark).to_owned()}</button>
                <span>{sentence}</span>
            </li>
        }
    });
    let entries: Vec<_> = entries.collect();
    (!entries.is_empty()).then(|| view! { <ul class="kernel-marks" id="kernel-marks" aria-label=t.kernel.marks>{entries}</ul> })
}

/// The first letter of a mark's name, in its colour.
fn letter(t: T, mark: Mark) -> impl IntoView {
    let letter: String = t.mark(mark).chars().take(1).flat_map(char::to_uppercase).collect();
    view! { <i class="letter" aria-hidden="true">{letter}</i> }
}

/// The lines of a file; above those of an included one, its name.
fn view_file(t: T, shader: &Shader, place: usize, file: &File) -> impl IntoView + use<> {
    let name = (place > 0).then(|| fill(t.kernel.included, &[("file", &format!("{}.wgsl", file.stem))]));
    view! {
        {name.map(|name| view! { <span class="line file">{name}"\n"</span> })}
        {file.lines.iter().map(|line| view_line(t, shader, line)).collect_view()}
    }
}

fn view_line(t: T, shader: &Shader, line: &Line) -> impl IntoView + use<> {
    let &Line { text, mark, is_used } = line;
    let shown = mark.filter(|_| is_used);
    let value = |name: &str| shader.constants.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string());
    let piece = |(text, name): (&'static str, Option<&str>)| match name.and_then(value).filter(|_| is_used) {
        Some(value) => view! { <span class="constant" data-value=value>{text}</span> }.into_any(),
        None => text.into_any(),
    };
    let (code, comment) = text.split_at(text.find("//").unwrap_or(text.len()));
    let is_directive = code.trim_start().starts_with('#');
    // Lines that only hold others together have the colour alone.
    let lettered = shown.filter(|_| !is_directive && code.contains(char::is_alphabetic));
    view! {
        <span class="line" class:left-out=!is_used class:directive=is_directive data-mark=shown.map(Mark::name)>
            <span class="gutter">{lettered.map(|mark| letter(t, mark))}</span>
            {pieces(code).map(piece).collect_view()}
            {(!comment.is_empty()).then(|| view! { <span class="comment">{comment}</span> })}
            "\n"
        </span>
    }
}

/// The text that the driver is given, once somebody asks for it.
fn expanded(t: T, kernel: Memo<Option<Arc<KernelAtWork>>>) -> impl IntoView {
    let is_shown = RwSignal::new(false);
    let name = move || if is_shown.get() { t.kernel.collapse } else { t.kernel.expand };
    let wgsl = Memo::new(move |_| is_shown.get().then(|| kernel.with(|kernel| kernel.as_ref().map(|kernel| kernel.wgsl()))).flatten());
    let text = move || {
        let wgsl = wgsl.get()?;
        let about = fill(t.kernel.expanded_about, &[("lines", &wgsl.lines().count())]);
        Some(view! {
            <p class="hint">{about}</p>
            <pre class="code" tabindex="0" role="region" aria-label=t.kernel.expand><code id="kernel-wgsl">{wgsl}</code></pre>
        })
    };
    view! {
        <button id="kernel-expand" type="button" aria-expanded=move || is_shown.get().to_string() on:click=move |_| is_shown.update(|shown| *shown = !*shown)>
            {name}
        </button>
        {text}
    }
}
