//! Every text of the page. A language is a file in `www/texts`; English is part of the program, others are fetched when they
//! are asked for.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

use super::charts::Part;
use super::form::{Field, ObjectiveChoice, SourceChoice};
use super::model_protocol::Vocabulary;
use super::route::Route;
use crate::gpu::Mark;
use crate::step::{self, Granularity, OpKind, Pass, StrategyKind};

/// Languages there are: the name of the file, and the name in its own words.
pub const LANGUAGES: [(&str, &str); 2] = [("en", "English"), ("ko", "한국어")];

/// The texts of the language that the page is in. Another language draws the page anew.
pub type T = &'static Texts;

/// Texts by the names of what they are about.
type Section = HashMap<String, String>;

/// A text. A page reads few languages, and keeps those that it has read.
type Text = &'static str;

fn kept<'de, D: Deserializer<'de>>(file: D) -> Result<Text, D::Error> {
    Ok(String::deserialize(file)?.leak())
}

/// Declares sections of the files of texts.
macro_rules! sections {
    ($($section:ident { $($text:ident),* $(,)? })*) => {$(
        /// A section of the files of texts.
        #[allow(missing_docs, reason = "the files say what they are")]
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $section { $(#[serde(deserialize_with = "kept")] pub $text: Text,)* }
    )*};
}

/// The texts of a language.
#[allow(missing_docs, reason = "sections and lists of texts, by the names of what they are about")]
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Texts {
    pub bar: Bar,
    pub see: See,
    pub learn: Learn,
    pub data: Data,
    pub model: Model,
    pub controls: Controls,
    pub step_grid: StepGrid,
    pub inspector: Inspector,
    pub kernel: Kernel,
    pub training: Training,
    pub compare: Compare,
    pub roofline: Roofline,
    pub report: Report,
    pub reach: Reach,
    pub saving: Saving,
    pub models: Models,
    pub failures: Failures,
    fields: Section,
    fields_about: Section,
    objectives: Section,
    objectives_about: Section,
    loss_types_about: Section,
    sources: Section,
    sources_about: Section,
    vocabularies: Section,
    strategies: Section,
    saved_activations: Section,
    parts: Section,
    passes: Section,
    strides: Section,
    buffers: Section,
    routes: Section,
    marks: Section,
    kernel_lines: HashMap<String, Section>,
}

sections! {
    Bar { title, views, skip, settings, close, run_keeps_settings, language, theme, theme_system, theme_light, theme_dark, link, link_copied, present, offline }
    Learn {
        title, chapter, previous, next, reveal, guess, guessed, truth, right, not_quite, notes, keys, recorded, measured, whole, cut,
        tokens_back, sure_over_steps, looks,
    }
    See {
        sentence, standard, checkpoint, stream, standard_about, checkpoint_about, stream_about, over, under, budget, about, model, grows,
        length, tokens, same_bits, explain, train, save, at, the_model, parts,
    }
    Data { title, objective, pairs_in_batch, completions_in_batch, source, vocabulary, file, paste, use_paste, url, use_url, given, read, cut, without_labels, locked }
    Model { title, preset, own_sizes, strategy, sizes, tied, hyper_parameters, watching, rounded, chunks_unused, auto_adapter, auto_unmeasured, auto_batch, auto_most, auto_budget, auto_logits, parameters, parameters_learn, use_seed, kept, kept_nothing, kept_about, offload, adaptive_chunks, activation_dtype, activation_about }
    Controls {
        title, about, start, go_on, pause, step, reset, loading, ready, resuming, preparing, preparing_label, asking, asking_label, training, stepping, waiting, paused, stopped, recovered, waiting_for_device,
        no_adapter, no_device, no_gpu, pause_first, text_first, finished, finished_about, open_now, diverged_loss, diverged_gradient, diverged_saved, diverged_unsaved, apply_suggestion, command, command_copied,
        command_text, command_model, command_adapters,
    }
    StepGrid {
        title, about, head_row, layer, all_chunks, chunk_axis, cell, cell_holds, sequences, sequence, chosen, rejected, filler, merged, now, timeline, timeline_about, peak, budget, budget_at,
        over_budget, moment, moment_at, live, slow, slow_about, speed, speed_unit, play, by, back, film, film_about, film_play, film_back, film_next, film_previous, film_speed, does_clear, does_embed, does_forward, does_again, does_backward, does_loss, does_embedding_gradient, does_update, does_roll_out, keys, as_table, row, chunks, kept, passing, planned, created, on_host, none_yet, beside,
        change, legend, export_svg, export_png, export_trace,
    }
    Inspector { title, about, name, layer, chunk, shape, bytes, kind, total, free, rest, look, values, values_about, min, max, mean, rms, not_finite, heat_map, of_prompt, of_completions, stale }
    Kernel {
        title, about, operation, next_use, none, workgroups, workgroup_size, threads, of_device, of_gpu, fused, bindings, binding, variable, use_of, reads, writes, access, access_about,
        constants, conditions, source, source_about, included, left_out, marks, next_line, expand, collapse, expanded_about,
    }
    Training {
        title, loss, validation_loss, validation_perplexity, accuracy, tokens_per_second, step_time, grad_norm, learning_rate, flops, flops_of, left_out, left_out_about, steps_done, curve, curve_empty,
        curve_axes, raw, smoothed, log_scale, quantity, export_csv, as_table, last_steps, step, by_distance, by_distance_about, right_of, by_position, by_position_about, tokens_before, perplexity, labels, pairs, held_out_pair, held_out_pair_about, prompt, chosen, rejected, log_ratio_of, scored, margins, margins_text, completions, learn_from_rewards, learn_from_rewards_about, sampling, group, group_about, answer, answer_about, weighed, reward_of, unended, sample, probability,
        attention, attention_about, attention_look, attention_layer, attention_head, attention_text, attention_rows, attention_columns, attention_cell, attention_keys, attention_stride, runs, runs_about, run, settings, memory, overlay, forget_run, take,
    }
    Compare {
        title, about, chosen, share, peak_at, over, within, too_large, measure, measuring, time, longest, longest_about, tokens,
        no_sequence, not_measured, planning, as_table, peaks, part, gaps, sum, proof, proof_about, prove, proving, starting,
        same_bits, different_bits, worst, runs, run, chunked, loss, bytes, bits, same, first, differs, loss_differs, parameters,
        parameter, error,
    }
    Roofline {
        title, about, measure, measuring, search, searching, skip, found, summary, picture, picture_about, intensity, speed, arithmetic_roof,
        bytes_roof, matrices, attention, rest, operation, time, share, of_roof, bound, by_arithmetic, by_bytes,
    }
    Report { title, about, copy, writing, copied, copy_by_hand, other_bits }
    Reach {
        title, about, model, own_model, published, trained, trained_lora, trained_all, lora_about, all_about, budget, budget_wrong, without_model, seq_len, seq_len_number, tokens, at,
        strategy, reaches, none, over, fits, device, device_limit, budget_line, model_line, picture, axis, shortest, longest,
        choose_about, set, set_chunks, marker_only, computing, nothing_fits, nothing_fits_model, nothing_chosen, no_question,
        as_table, length, longest_is, reported_is, key_longest, key_reported, planned, reported, paper_title, paper_about, ratio, show,
        differs, choose_other, choose_running, auto_about, predicted_on, this_device, predicted_about,
        frontier, frontier_about, frontier_axis, in_chunks, in_groups, keeps_attention, inputs_on_host,
        machines, machines_about, network, of_machines, machine, machine_memory, computes, waits, sends,
    }
    Saving {
        title, about, export, exported, export_run, export_run_about, run_exported, open_run, open_run_about, open_run_zip, saved_runs, saved_run, saved_elsewhere, saved_unreadable, resume, needs_run, pause_first, reset_first, forget, forget_now, storage_about,
        saved_after, storage_refuses, storage_full,
    }
    Models {
        open, about, drop, folder, files, address, fetch, fetching, stop, stopped, opening, opened, kept, kept_part, take, go_on, forget,
        learn, learn_full, learn_lora, full_about, lora_about, frozen, targets, rslora, adapters, opened_adapters, fresh_adapters,
        needs_model, other_sizes, beyond_context,
    }
    Failures { no_text, empty_paste, run_in_progress, not_utf8, unreadable, not_fetched, worker_stopped, model_worker_stopped, no_plan }
}

impl Texts {
    /// English.
    pub fn english() -> &'static Texts {
        Self::parse(include_str!("../../www/texts/en.json")).expect("a test reads the same file")
    }

    /// Reads a file of texts.
    ///
    /// # Errors
    /// Names the text that is missing, or one too many.
    pub fn parse(json: &str) -> Result<&'static Texts, serde_json::Error> {
        serde_json::from_str(json).map(|texts| &*Box::leak(Box::new(texts)))
    }

    /// A field of the form.
    pub fn field(&self, field: Field) -> &str {
        &self.fields[field.name()]
    }

    /// What a field of the form is.
    pub fn field_about(&self, field: Field) -> &str {
        &self.fields_about[field.name()]
    }

    /// An objective.
    pub fn objective(&self, choice: ObjectiveChoice) -> &str {
        &self.objectives[choice.name()]
    }

    /// What an objective is.
    pub fn objective_about(&self, choice: ObjectiveChoice) -> &str {
        &self.objectives_about[choice.name()]
    }

    /// What a loss is, by its name.
    pub fn loss_type_about(&self, loss_type: &str) -> &str {
        &self.loss_types_about[loss_type]
    }

    /// Something to learn from.
    pub fn source(&self, choice: SourceChoice) -> &str {
        &self.sources[choice.name()]
    }

    /// A view of the page.
    pub fn route(&self, route: Route) -> &str {
        &self.routes[route.name()]
    }

    /// What it is that is learned from.
    pub fn source_about(&self, choice: SourceChoice) -> &str {
        &self.sources_about[choice.name()]
    }

    /// How text becomes tokens.
    pub fn vocabulary(&self, vocabulary: Vocabulary) -> &str {
        &self.vocabularies[vocabulary.name()]
    }

    /// What a strategy does.
    pub fn strategy(&self, kind: StrategyKind) -> &str {
        &self.strategies[kind.name()]
    }

    /// What a layer may keep.
    pub fn saved_activation(&self, keep: step::SavedActivation) -> &str {
        &self.saved_activations[keep.name()]
    }

    /// What bytes are for.
    pub fn part(&self, part: Part) -> &str {
        &self.parts[part.name()]
    }

    /// A pass of the step.
    pub fn pass(&self, pass: Pass) -> &str {
        &self.passes[pass.name()]
    }

    /// How far to go at once.
    pub fn stride(&self, stride: Granularity) -> &str {
        &self.strides[stride.name()]
    }

    /// What marked lines of a kernel do, in a word.
    pub fn mark(&self, mark: Mark) -> &str {
        &self.marks[mark.name()]
    }

    /// What the marked lines of a kernel do, in a sentence.
    pub fn kernel_line(&self, kind: OpKind, mark: Mark) -> &str {
        self.kernel_lines.get(kind.stem()).and_then(|lines| lines.get(mark.name())).map_or("", String::as_str)
    }

    /// What buffers are for; the device's own word if it is not known.
    pub fn buffer<'a>(&'a self, used_for: &'a str) -> &'a str {
        self.buffers.get(used_for).map_or(used_for, String::as_str)
    }
}

/// Puts values in the places of a text that name them, as in `{count}`.
pub fn fill(text: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &value.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::gpu::Shader;
    use crate::shaders;
    use crate::step::{DpoLossType, GrpoLossType};

    /// The places for values in a text, sorted.
    fn places(text: &str) -> Vec<String> {
        let mut places: Vec<String> =
            text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()).collect();
        places.sort();
        places
    }

    /// Every text of a file, by its path.
    fn leaves(value: &serde_json::Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| leaves(value, &format!("{path}.{key}"), found)),
            other => found.push((path.to_owned(), other.as_str().unwrap_or_else(|| panic!("{path} is no text")).to_owned())),
        }
    }

    #[test]
    fn every_language_has_every_text_with_the_same_values() {
        let mut english = Vec::new();
        leaves(&serde_json::from_str(include_str!("../../www/texts/en.json")).unwrap(), "", &mut english);
        for (name, _) in LANGUAGES {
            let file = std::fs::read_to_string(format!("www/texts/{name}.json")).unwrap();
            let texts = Texts::parse(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            Field::ALL.iter().for_each(|&field| assert!(!texts.field(field).is_empty() && !texts.field_about(field).is_empty()));
            ObjectiveChoice::ALL
                .into_iter()
                .for_each(|choice| assert!(!texts.objective(choice).is_empty() && !texts.objective_about(choice).is_empty()));
            let loss_types = DpoLossType::ALL.map(DpoLossType::name).into_iter().chain(GrpoLossType::ALL.map(GrpoLossType::name));
            loss_types.for_each(|loss_type| assert!(!texts.loss_type_about(loss_type).is_empty()));
            SourceChoice::ALL
                .into_iter()
                .for_each(|choice| assert!(!texts.source(choice).is_empty() && !texts.source_about(choice).is_empty()));
            Vocabulary::ALL.into_iter().for_each(|vocabulary| assert!(!texts.vocabulary(vocabulary).is_empty()));
            StrategyKind::ALL.into_iter().for_each(|kind| assert!(!texts.strategy(kind).is_empty()));
            step::SavedActivation::ALL.into_iter().for_each(|keep| assert!(!texts.saved_activation(keep).is_empty()));
            Part::ALL.into_iter().for_each(|part| assert!(!texts.part(part).is_empty()));
            Granularity::ALL.into_iter().for_each(|stride| assert!(!texts.stride(stride).is_empty()));
            for pass in [Pass::Clear, Pass::Forward, Pass::Loss, Pass::Backward, Pass::Update, Pass::RollOut] {
                assert!(!texts.pass(pass).is_empty());
            }
            let mut own = Vec::new();
            leaves(&serde_json::from_str(&file).unwrap(), "", &mut own);
            assert_eq!(own.len(), english.len(), "{name}");
            for ((path, text), (english_path, english_text)) in own.iter().zip(&english) {
                assert_eq!(path, english_path, "{name}");
                assert_eq!(places(text), places(english_text), "{name}: {path}");
            }
        }
    }

    /// Every marked line of every shader is explained in every language, and nothing else is.
    #[test]
    fn every_language_explains_the_marked_lines() {
        let mut marked: HashMap<&str, HashSet<&str>> = HashMap::new();
        for (kind, constants) in OpKind::ALL.iter().flat_map(|&kind| [(kind, vec![]), (kind, vec![("TILED", 1)])]) {
            let shader = Shader::new(kind, constants);
            let is_there = shaders::FILES.iter().any(|(stem, _)| *stem == shader.file());
            let lines = is_there.then(|| shader.listing()).into_iter().flatten().flat_map(|file| file.lines);
            for mark in lines.filter_map(|line| line.mark) {
                marked.entry(kind.stem()).or_default().insert(mark.name());
            }
        }
        for (name, _) in LANGUAGES {
            let texts = Texts::parse(&std::fs::read_to_string(format!("www/texts/{name}.json")).unwrap()).unwrap();
            let explained = texts.kernel_lines.iter().map(|(stem, lines)| (stem.as_str(), lines.keys().map(String::as_str).collect()));
            assert_eq!(explained.collect::<HashMap<_, HashSet<&str>>>(), marked, "{name}");
            let first = |mark: Mark| texts.mark(mark).chars().next();
            assert_eq!(Mark::ALL.map(first).into_iter().collect::<HashSet<_>>().len(), 4, "{name}: each has a letter of its own");
        }
    }

    #[test]
    fn values_are_put_in_their_places() {
        assert_eq!(fill("{a} of {b}, {a}", &[("a", &1), ("b", &"x")]), "1 of x, 1");
    }
}
