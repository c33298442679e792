//! Chat templates: how a family of models writes a conversation as one text.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value};

use super::conversation::{Conversation, Message};
use super::jinja_compat::{format_time, to_json};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use crate::model::ModelType;

/// What a family's conversations look like where a model brings no template of its own.
pub(super) struct Family {
    pub template: &'static str,
    /// Those that the template writes.
    pub special_tokens: &'static [&'static str],
    /// What a conversation starts with.
    pub start: Option<&'static str>,
    /// What ends a reply.
    pub end: &'static str,
}

impl Family {
    pub fn of(model_type: ModelType) -> Self {
        match model_type {
            ModelType::Llama => Family {
                template: include_str!("templates/llama3.jinja"),
                special_tokens: &["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
                start: Some("<|begin_of_text|>"),
                end: "<|eot_id|>",
            },
            ModelType::Mistral => Family {
                template: include_str!("templates/mistral.jinja"),
                special_tokens: &["<s>", "</s>", "[INST]", "[/INST]"],
                start: Some("<s>"),
                end: "</s>",
            },
            ModelType::Qwen2 | ModelType::Qwen3 => Family {
                template: include_str!("templates/chatml.jinja"),
                special_tokens: &["<|im_start|>", "<|im_end|>"],
                start: None,
                end: "<|im_end|>",
            },
            ModelType::Gemma3Text => Family {
                template: include_str!("templates/gemma.jinja"),
                special_tokens: &["<bos>", "<start_of_turn>", "<end_of_turn>"],
                start: Some("<bos>"),
                end: "<end_of_turn>",
            },
        }
    }
}

/// Writes conversations as texts.
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
    marks_replies: bool,
}

/// A conversation as a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The bytes of it that the template marks as the assistant's.
    pub replies: Vec<Range<usize>>,
}

/// What stands around a reply while it is rendered. Unicode keeps these characters free for programs.
const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];
const NAME: &str = "chat template";
/// Steps that a template may take: one that takes more is broken, and a page or a program is not to hang with it.
const FUEL: u64 = 100_000_000;

impl ChatTemplate {
    /// The template that came with a tokenizer, or else the family's.
    ///
    /// # Errors
    /// [`Error::Data`] if it is broken.
    pub fn of(tokenizer: &Tokenizer, model_type: ModelType) -> Result<Self> {
        let template = tokenizer.chat_template().unwrap_or(Family::of(model_type).template);
        Self::new(template, tokenizer.special_tokens().clone())
    }

    /// A template in the language of Jinja, with special tokens under names as `bos_token`.
    ///
    /// # Errors
    /// [`Error::Data`] if it is broken.
    pub fn new(template: &str, special_tokens: BTreeMap<String, String>) -> Result<Self> {
        let (template, marks_replies) = prepared(template);
        let mut environment = Environment::new();
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("the delimiters are the usual ones"));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("tojson", to_json);
        environment.add_filter("assistants_reply", |text: String| format!("{}{text}{}", MARKS[0], MARKS[1]));
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, template).map_err(broken)?;
        Ok(ChatTemplate { environment, special_tokens, marks_replies })
    }

    /// Does it mark replies itself, with `{% generation %}`?
    pub fn marks_replies(&self) -> bool {
        self.marks_replies
    }

    /// Writes the first messages of a conversation as a text, and behind them what starts a reply, if that is wanted. It is so many
    /// seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Data`] with the template's words if it cannot.
    pub fn render(&self, conversation: &Conversation, messages: &[Message], starts_reply: bool, now: u64) -> Result<Rendered> {
        let mut variables: BTreeMap<String, Value> =
            self.special_tokens.iter().map(|(name, token)| (name.clone(), Value::from(token))).collect();
        let strftime_now = Value::from_function(move |format: &str| format_time(format, now));
        let others = [
            ("messages", messages.iter().map(Message::value).collect()),
            ("tools", conversation.tools.clone()),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(starts_reply)),
            ("strftime_now", strftime_now),
        ];
        variables.extend(others.map(|(name, value)| (name.to_owned(), value)));
        let template = self.environment.get_template(NAME).expect("it was added");
        Ok(without_marks(&template.render(variables).map_err(broken)?))
    }

    /// The text that stands behind every reply: generation is over when it comes. Empty if the template writes none.
    ///
    /// # Errors
    /// [`Error::Data`] with the template's words if it cannot write a question and a reply.
    pub fn end_of_reply(&self, now: u64) -> Result<String> {
        const REPLY: &str = "\u{fdd2}";
        let conversation = Conversation::new(vec![Message::new("user", "?"), Message::new("assistant", REPLY)]);
        let text = self.render(&conversation, &conversation.messages, false, now)?.text;
        Ok(text.rsplit_once(REPLY).map_or(String::new(), |(_, end)| end.trim().to_owned()))
    }
}

fn broken(error: minijinja::Error) -> Error {
    Error::Data(format!("the chat template cannot be used ({error})"))
}

/// The template with a filter in the place of `{% generation %}`, and without lines that go on within a text in quotes, of both of
/// which the library knows nothing; and whether there was any of the first.
fn prepared(template: &str) -> (String, bool) {
    let (mut text, mut rest, mut marks) = (String::new(), template, false);
    while let Some(at) = rest.find("{%").into_iter().chain(rest.find("{{")).chain(rest.find("{#")).min() {
        let (before, from) = rest.split_at(at);
        let (tag, len) = if from.starts_with("{#") { comment(from) } else { joined(from) };
        let filter = with_filter(&tag);
        marks |= filter.is_some();
        text += before;
        text += &filter.unwrap_or(tag);
        rest = &from[len..];
    }
    (text + rest, marks)
}

/// The comment that a text starts with, and its length.
fn comment(text: &str) -> (String, usize) {
    let len = text.find("#}").map_or(text.len(), |at| at + 2);
    (text[..len].to_owned(), len)
}

/// The tag that a text starts with, its texts in quotes without line ends behind a backslash; and how long it was with them.
fn joined(text: &str) -> (String, usize) {
    let close = if text.starts_with("{%") { "%}" } else { "}}" };
    let (mut tag, mut quote) = (String::new(), None);
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if quote.is_some() && c == '\\' {
            let escaped = characters.next().map(|(_, escaped)| escaped).filter(|&escaped| escaped != '\n');
            tag.extend(escaped.into_iter().flat_map(|escaped| [c, escaped]));
            continue;
        }
        tag.push(c);
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if tag.ends_with(close) => return (tag, at + c.len_utf8()),
            _ => (),
        }
    }
    (tag, text.len())
}

/// A tag of `generation` as the filter that it stands for.
fn with_filter(tag: &str) -> Option<String> {
    let inside = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let name = inside.trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '+'));
    let filter = match name {
        "generation" => "filter assistants_reply",
        "endgeneration" => "endfilter",
        _ => return None,
    };
    Some(tag.replacen(name, filter, 1))
}

/// Takes the marks out of a text, and tells what they enclosed.
fn without_marks(marked: &str) -> Rendered {
    let mut rendered = Rendered { text: String::with_capacity(marked.len()), replies: Vec::new() };
    let mut start = None;
    for piece in marked.split_inclusive(MARKS) {
        let text = piece.trim_end_matches(MARKS);
        rendered.text += text;
        let at = rendered.text.len();
        match piece[text.len()..].chars().next() {
            Some(mark) if mark == MARKS[0] => start = Some(at),
            Some(_) => rendered.replies.extend(start.take().map(|start| start..at)),
            None => (),
        }
    }
    rendered
}

/// Can a text not be told from one with marks?
pub(super) fn has_marks(text: &str) -> bool {
    text.contains(MARKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(messages: &[(&str, &str)]) -> Conversation {
        Conversation::new(messages.iter().map(|(role, content)| Message::new(role, content)).collect())
    }

    fn family(model_type: ModelType) -> (ChatTemplate, Family) {
        let family = Family::of(model_type);
        let tokens = family.start.map(|start| ("bos_token".to_owned(), start.to_owned()));
        let tokens = tokens.into_iter().chain([("eos_token".to_owned(), family.end.to_owned())]).collect();
        (ChatTemplate::new(family.template, tokens).unwrap(), family)
    }

    #[test]
    fn the_families_write_conversations_as_they_do() {
        let talk = conversation(&[("system", "Be brief."), ("user", "2+2?"), ("assistant", "4"), ("user", "Sure?"), ("assistant", "Yes.")]);
        for (model_type, expected, replies) in [
            (
                ModelType::Llama,
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n4<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nSure?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYes.<|eot_id|>",
                ["4<|eot_id|>", "Yes.<|eot_id|>"],
            ),
            (ModelType::Mistral, "<s>[INST] Be brief.\n\n2+2? [/INST] 4</s>[INST] Sure? [/INST] Yes.</s>", [" 4</s>", " Yes.</s>"]),
            (
                ModelType::Qwen3,
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n",
                ["4<|im_end|>", "Yes.<|im_end|>"],
            ),
            (
                ModelType::Gemma3Text,
                "<bos><start_of_turn>user\nBe brief.\n\n2+2?<end_of_turn>\n<start_of_turn>model\n4<end_of_turn>\n<start_of_turn>user\nSure?<end_of_turn>\n<start_of_turn>model\nYes.<end_of_turn>\n",
                ["4<end_of_turn>", "Yes.<end_of_turn>"],
            ),
        ] {
            let (template, family) = family(model_type);
            let rendered = template.render(&talk, &talk.messages, false, 0).unwrap();
            assert_eq!(rendered.text, expected);
            assert!(rendered.replies.iter().map(|part| &rendered.text[part.clone()]).eq(replies), "{model_type:?}");
            // What asks for a reply is what stands before one.
            let asked = template.render(&talk, &talk.messages[..2], true, 0).unwrap().text;
            let first = rendered.replies[0].start;
            assert_eq!(asked, rendered.text[..first]);
            assert_eq!(template.end_of_reply(0).unwrap(), family.end);
        }
    }

    #[test]
    fn what_python_writes_is_understood() {
        let template = "{%- set ns = namespace(found=false) -%}
{%- for m in messages[::-1] -%}{%- if not ns.found and m['role'] == 'user' -%}{%- set ns.found = true -%}[{{ m.content.strip().split('|')[-1] }}]{%- endif -%}{%- endfor %}
{% for m in messages %}
    {%- if loop.index0 == 1 %}{% continue %}{% endif %}
    {{- m.role.upper() ~ ('!' if m.content is string and not m.content.startswith('x') else '?') }}
{% endfor %}
{{- tools is none }} {{ messages[0] | tojson }} {{ strftime_now('%d %b %Y') }} {{ missing is defined }}{{ missing }}";
        let template = ChatTemplate::new(template, BTreeMap::new()).unwrap();
        let talk = conversation(&[("user", " a | b "), ("assistant", "c"), ("tool", "x")]);
        let text = template.render(&talk, &talk.messages, false, 86_400).unwrap().text;
        assert_eq!(text, "[ b]USER!\nTOOL?\nTrue {\"content\": \" a | b \", \"role\": \"user\"} 02 Jan 1970 False");
    }

    #[test]
    fn marks_are_found_however_they_are_written_and_leave_no_trace() {
        let template = "{% for m in messages %}\n{{ m.role }}:{%generation%}{{ m.content }}{%-  endgeneration -%}  ;{% endfor %}{% if generation %}{% endif %}";
        let template = ChatTemplate::new(template, BTreeMap::new()).unwrap();
        assert!(template.marks_replies());
        let talk = conversation(&[("a", "one"), ("b", ""), ("c", "é")]);
        let rendered = template.render(&talk, &talk.messages, false, 0).unwrap();
        assert_eq!((rendered.text.as_str(), rendered.replies), ("a:one;b:;c:é;", vec![2..5, 8..8, 11..13]));
        assert!(!ChatTemplate::new("{{ generation }}{# {% generation #}", BTreeMap::new()).unwrap().marks_replies());
    }

    #[test]
    fn a_text_in_quotes_goes_on_behind_a_line_that_ends_with_a_backslash() {
        let written = "{{ 'a\\\nb' }}\\\n{# '\\\n #}{% set x = \"}}{%\\\\\n'\\\n\" %}{{ x }}é{{ 'é' }}{% if true %}!{% endif %}";
        let template = ChatTemplate::new(written, BTreeMap::new()).unwrap();
        let talk = conversation(&[("user", "a")]);
        assert_eq!(template.render(&talk, &talk.messages, false, 0).unwrap().text, "ab\\\n}}{%\\\n'éé!");
        // What has no end is the library's to complain about.
        assert!(ChatTemplate::new("a {{ 'b", BTreeMap::new()).is_err() && ChatTemplate::new("{% '\\", BTreeMap::new()).is_err());
    }

    #[test]
    fn what_goes_wrong_in_a_template_is_said() {
        let said = |template: &str| {
            let talk = conversation(&[("user", "a")]);
            let rendered = ChatTemplate::new(template, BTreeMap::new()).and_then(|t| t.render(&talk, &talk.messages, false, 0));
            rendered.unwrap_err().to_string()
        };
        for (template, expected) in [
            ("{{ raise_exception('no system please') }}", "no system please"),
            ("{% for x in %}", "syntax error"),
            ("{% generation %}", "syntax error"),
            ("{{ nobody.there }}", "undefined"),
            ("{{ messages | unheard_of }}", "unheard_of"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}", "fuel"),
            ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ] {
            let said = said(template);
            assert!(said.contains("chat template") && said.contains(expected), "{expected}: {said}");
        }
    }
}
