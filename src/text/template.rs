//! Chat templates: render a conversation as one text.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value};

use super::built_in::BuiltIn;
use super::conversation::{Conversation, Message};
use super::jinja_compat::{format_time, to_json};
use super::tokenizer::{ChatTemplates, Tokenizer};
use crate::error::{Error, Result};
use crate::model::ModelType;

/// A chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// The texts of the templates that the environment has.
    sources: BTreeMap<String, String>,
    special_tokens: BTreeMap<String, String>,
    marks_replies: bool,
}

/// A rendered conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The ranges of bytes that the template marks as the assistant's, with `{% generation %}`.
    pub replies: Vec<Range<usize>>,
}

/// The marks around a reply during rendering. They are Unicode noncharacters, which are reserved for internal use.
const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];
/// The template, and the one for conversations with tools, if that is another.
const DEFAULT: &str = "default";
const WITH_TOOLS: &str = "tool_use";
/// How templates tell arguments of tool calls that are texts from those that are values.
const ARGUMENT_TESTS: [&str; 4] = ["arguments is string", "arguments is not string", "arguments is mapping", "arguments is not mapping"];
/// The reply of an example: a noncharacter, which no template writes.
const REPLY: &str = "\u{fdd2}";
/// The instruction limit of a template, so that a broken template cannot hang the program.
const FUEL: u64 = 100_000_000;

impl ChatTemplate {
    /// The template of a tokenizer's files, or otherwise a built-in one for its vocabulary.
    ///
    /// # Errors
    /// [`Error::Data`] if the template is malformed, or if there is none.
    pub fn of(tokenizer: &Tokenizer, model_type: ModelType) -> Result<Self> {
        let ChatTemplates { named, problem } = tokenizer.chat_templates();
        if let Some(problem) = problem {
            return Err(Error::Data(problem.clone()));
        }
        if !named.is_empty() {
            let known = [DEFAULT, WITH_TOOLS].into_iter().filter_map(|name| Some((name.to_owned(), named.get(name)?.clone())));
            let known: BTreeMap<String, String> = known.collect();
            if known.is_empty() {
                let names: Vec<&str> = named.keys().map(String::as_str).collect();
                return Err(Error::Data(format!(
                    "the tokenizer has the chat templates {}, and none with the name default; give one as chat_template.jinja",
                    names.join(", ")
                )));
            }
            return Self::of_sources(known, tokenizer.special_tokens().clone());
        }
        let built_in = BuiltIn::of(tokenizer, model_type).ok_or_else(|| {
            Error::Data(format!(
                "the tokenizer has no chat template, and its vocabulary lacks the markers of the built-in ones ({}); put a chat_template.jinja beside tokenizer.json",
                BuiltIn::ALL.map(|built_in| built_in.name).join(", ")
            ))
        })?;
        Self::new(built_in.template, tokenizer.special_tokens().clone())
    }

    /// A Jinja template, with special tokens by names such as `bos_token`.
    ///
    /// # Errors
    /// [`Error::Data`] if the template is malformed.
    pub fn new(template: &str, special_tokens: BTreeMap<String, String>) -> Result<Self> {
        Self::of_sources(BTreeMap::from([(DEFAULT.to_owned(), template.to_owned())]), special_tokens)
    }

    fn of_sources(sources: BTreeMap<String, String>, special_tokens: BTreeMap<String, String>) -> Result<Self> {
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
        let mut marks_replies = true;
        for (name, source) in &sources {
            let (template, marks) = prepared(source);
            marks_replies &= marks;
            environment.add_template_owned(name.clone(), template).map_err(broken)?;
        }
        Ok(ChatTemplate { environment, sources, special_tokens, marks_replies })
    }

    /// The template's text, if it has the usual name.
    pub fn source(&self) -> Option<&str> {
        self.sources.get(DEFAULT).map(String::as_str)
    }

    /// Does the template mark replies with `{% generation %}`?
    pub fn marks_replies(&self) -> bool {
        self.marks_replies
    }

    /// Renders `messages` of a conversation, followed by the generation prompt if `starts_reply`. `now` is the time in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Data`] with the template's message if it fails.
    pub fn render(&self, conversation: &Conversation, messages: &[Message], starts_reply: bool, now: u64) -> Result<Rendered> {
        let name = if conversation.tools.is_none() || !self.sources.contains_key(WITH_TOOLS) { DEFAULT } else { WITH_TOOLS };
        let Some(source) = self.sources.get(name) else {
            return Err(Error::Data("the tokenizer has a chat template for conversations with tools only, and there are none".to_owned()));
        };
        let reads_arguments = ARGUMENT_TESTS.iter().any(|test| source.contains(test));
        let mut variables: BTreeMap<String, Value> =
            self.special_tokens.iter().map(|(name, token)| (name.clone(), Value::from(token))).collect();
        let strftime_now = Value::from_function(move |format: &str| format_time(format, now));
        let others = [
            ("messages", messages.iter().map(|message| message.value(reads_arguments)).collect()),
            ("tools", conversation.tools.clone()),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(starts_reply)),
            ("strftime_now", strftime_now),
        ];
        variables.extend(others.map(|(name, value)| (name.to_owned(), value)));
        variables.extend(conversation.variables.clone());
        let template = self.environment.get_template(name).expect("it was added");
        Ok(without_marks(&template.render(variables).map_err(broken)?))
    }

    /// The stop sequence: the text that the template writes after every reply. Empty if there is none.
    ///
    /// # Errors
    /// [`Error::Data`] with the template's message if it cannot render a question and a reply.
    pub fn end_of_reply(&self, now: u64) -> Result<String> {
        let conversation = Self::example();
        let text = self.render(&conversation, &conversation.messages, false, now)?.text;
        Ok(text.rsplit_once(REPLY).map_or(String::new(), |(_, end)| end.trim().to_owned()))
    }

    /// Does the template ask for a reply with a text that it does not write before the reply, so that models are asked otherwise than they
    /// are trained?
    pub(super) fn asks_otherwise(&self, now: u64) -> bool {
        let conversation = Self::example();
        let asked = self.render(&conversation, &conversation.messages[..1], true, now);
        let answered = self.render(&conversation, &conversation.messages, false, now);
        asked.and_then(|asked| Ok(!answered?.text.starts_with(&asked.text))).unwrap_or(false)
    }

    fn example() -> Conversation {
        Conversation::new(vec![Message::new("user", "?"), Message::new("assistant", REPLY)])
    }
}

fn broken(error: minijinja::Error) -> Error {
    Error::Data(format!("the chat template cannot be used ({error})"))
}

/// Rewrites what the library does not support: `{% generation %}` becomes a filter, and line continuations within string literals are
/// joined. Also returns whether there was a `{% generation %}`.
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

/// The comment at the start of a text, and its length in bytes.
fn comment(text: &str) -> (String, usize) {
    let len = text.find("#}").map_or(text.len(), |at| at + 2);
    (text[..len].to_owned(), len)
}

/// The tag at the start of a text, without line continuations in its string literals, and its original length in bytes.
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

/// The filter tag that replaces a `generation` tag.
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

/// Removes the marks from a text, and returns the ranges that they enclosed.
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

/// Does a text contain the characters of the marks?
pub(super) fn has_marks(text: &str) -> bool {
    text.contains(MARKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::TokenizerFiles;
    use crate::text::samples::with_files;

    fn conversation(messages: &[(&str, &str)]) -> Conversation {
        Conversation::new(messages.iter().map(|(role, content)| Message::new(role, content)).collect())
    }

    fn family(model_type: ModelType) -> (ChatTemplate, &'static BuiltIn) {
        let family = BuiltIn::of_family(model_type);
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
            // The generation prompt is the text before a reply.
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
        // The library reports unterminated tags and strings.
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

    #[test]
    fn chat_templates_are_read_and_what_is_wrong_with_them_is_said_where_they_are_used() {
        let files = |config: &str, template: Option<&[u8]>| TokenizerFiles {
            config: Some(config.as_bytes().to_vec()),
            chat_template: template.map(<[u8]>::to_vec),
            ..TokenizerFiles::default()
        };
        let template = |config: &str, file: Option<&[u8]>| with_files(files(config, file)).map(|t| t.chat_template().map(str::to_owned));
        assert_eq!(template("{}", None).unwrap(), None);
        assert_eq!(template(r#"{"chat_template": "a"}"#, None).unwrap().unwrap(), "a");
        assert_eq!(template(r#"{"chat_template": "a"}"#, Some(b"b")).unwrap().unwrap(), "b");
        let named = r#"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        assert_eq!(template(named, None).unwrap().unwrap(), "d");
        assert!(template("{", None).is_err());
        for (config, file, expected) in [
            (r#"{"chat_template": 1}"#, None, "neither a text nor a list"),
            (r#"{"chat_template": []}"#, None, "no chat template"),
            (r#"{"chat_template": [{"name": "rag", "template": "x"}]}"#, None, "templates rag"),
            ("{}", Some(&b"\xff"[..]), "no UTF-8"),
            (r#"{"chat_template": "{% x"}"#, None, "cannot be used"),
            ("{}", None, "lacks the markers"),
        ] {
            let tokenizer = with_files(files(config, file)).unwrap();
            let said = ChatTemplate::of(&tokenizer, ModelType::Llama).err().unwrap().to_string();
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}
