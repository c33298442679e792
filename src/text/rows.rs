//! Conversations and texts as JSON lines, and their assistant masks: all tokens of a text, and the assistant's replies of a conversation,
//! are trained on.

use std::ops::Range;

use minijinja::Value;
use serde::Deserialize;

use super::conversation::{Conversation, Message};
use super::document::Document;
use super::template::{ChatTemplate, has_marks};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// The content of a line.
#[derive(Clone, Debug)]
pub enum Row {
    /// A line with `messages`.
    Conversation(Conversation),
    /// A line with `text`.
    Text(String),
}

#[derive(Deserialize)]
struct Line {
    messages: Option<Vec<Message>>,
    #[serde(default)]
    tools: Value,
    text: Option<String>,
}

/// JSON lines: one object per line, with `messages` or `text`.
#[derive(Clone, Debug)]
pub struct Rows {
    file: String,
    /// The rows with their line numbers, from 1.
    rows: Vec<(usize, Row)>,
}

impl Rows {
    /// Parses JSON lines, and skips empty ones. `file` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] with the line and its problem.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        let lines = text.trim_start_matches('\u{feff}').lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let rows = lines.map(|(line, number)| match row(line) {
            Ok(row) => Ok((number, row)),
            Err(problem) => Err(Error::Data(format!("{file}, line {number}: {problem}"))),
        });
        Ok(Rows { file: file.to_owned(), rows: rows.collect::<Result<_>>()? })
    }

    /// All texts and message contents, for training a vocabulary.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|(_, row)| match row {
            Row::Text(text) => vec![text.as_str()],
            Row::Conversation(conversation) => conversation.messages.iter().filter_map(|m| m.content.as_deref()).collect(),
        })
    }

    /// Encodes the rows. `now` is the time in seconds since 1970, for templates that write the date.
    ///
    /// # Errors
    /// [`Error::Data`] with the line that the template cannot render or the tokenizer cannot encode.
    pub fn documents(&self, tokenizer: &Tokenizer, template: &ChatTemplate, now: u64) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        for (number, row) in &self.rows {
            let found = match row {
                Row::Text(text) => Document::of_text(tokenizer, text).map(|document| vec![document]),
                Row::Conversation(conversation) => template.documents(tokenizer, conversation, now),
            };
            documents.extend(found.map_err(|error| Error::Data(format!("{}, line {number}: {error}", self.file)))?);
        }
        Ok(documents)
    }
}

fn row(line: &str) -> Result<Row, String> {
    // The column locates a mistake in a line of JSON. "line 1" would be confusing.
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string().replace(" at line 1 column", " at column"))?;
    match line {
        Line { messages: Some(messages), tools, .. } => {
            let conversation = Conversation { messages, tools: if tools.is_undefined() { Value::from(()) } else { tools } };
            conversation.check()?;
            Ok(Row::Conversation(conversation))
        }
        Line { text: Some(text), .. } => Ok(Row::Text(text)),
        Line { .. } => Err("there is neither \"messages\" nor \"text\"".to_owned()),
    }
}

impl Document {
    /// Encodes a text with its end token. All of its tokens are trained on.
    fn of_text(tokenizer: &Tokenizer, text: &str) -> Result<Self> {
        let mut ids = tokenizer.encode_with_special_tokens(text)?;
        ids.extend(tokenizer.end_of_text().filter(|end| ids.last() != Some(end)));
        Ok(Document { assistant_mask: vec![true; ids.len()], ids })
    }

    /// Encodes a text of which only some ranges of bytes are trained on: every token that overlaps one of them.
    fn of_parts(tokenizer: &Tokenizer, text: &str, parts: &[Range<usize>]) -> Result<Self> {
        let is_learned = |place: &Range<usize>| {
            let next = parts.partition_point(|part| part.end <= place.start);
            parts.get(next).is_some_and(|part| part.start < place.end.max(place.start + 1))
        };
        let tokens = tokenizer.encode_with_places(text)?;
        let (ids, assistant_mask): (Vec<u32>, Vec<bool>) = tokens.into_iter().map(|(id, place)| (id, is_learned(&place))).unzip();
        if !assistant_mask.contains(&true) {
            return Err(Error::Data("the chat template marks nothing of the conversation as the assistant's".to_owned()));
        }
        Ok(Document { ids, assistant_mask })
    }
}

impl ChatTemplate {
    /// Encodes a conversation, whose assistant replies are trained on.
    ///
    /// If the template does not mark replies with `{% generation %}`, a reply is the difference between the rendered text with the reply
    /// and the text that asks for it (the generation prompt); the end token of the reply belongs to it. Some templates render a reply
    /// differently once more messages follow, for example without its thinking. Then each reply becomes a document of its own, with the
    /// earlier messages as the template renders them at that point.
    ///
    /// # Errors
    /// [`Error::Data`] if the template cannot render the conversation, or the text with a reply does not start with the text that asks for
    /// it.
    pub fn documents(&self, tokenizer: &Tokenizer, conversation: &Conversation, now: u64) -> Result<Vec<Document>> {
        let messages = &conversation.messages;
        let contents = messages.iter().filter_map(|message| message.content.as_deref());
        if contents.into_iter().any(has_marks) {
            return Err(Error::Data("a message has one of the characters U+FDD0 and U+FDD1, which are no text".to_owned()));
        }
        let whole = self.render(conversation, messages, false, now)?;
        if self.marks_replies() {
            return Ok(vec![Document::of_parts(tokenizer, &whole.text, &whole.replies)?]);
        }
        let replies = || (0..messages.len()).filter(|&i| messages[i].is_reply());
        let mut parts = Vec::new();
        for i in replies() {
            let (text, part) = self.reply(conversation, i, now)?;
            if !whole.text.starts_with(&text) {
                let each = |i| self.reply(conversation, i, now).and_then(|(text, part)| Document::of_parts(tokenizer, &text, &[part]));
                return replies().map(each).collect();
            }
            parts.push(part);
        }
        Ok(vec![Document::of_parts(tokenizer, &whole.text, &parts)?])
    }

    /// The text up to and including reply `i`, and the range of bytes of the reply.
    fn reply(&self, conversation: &Conversation, i: usize, now: u64) -> Result<(String, Range<usize>)> {
        let messages = &conversation.messages;
        let asked = self.render(conversation, &messages[..i], true, now)?.text;
        let answered = self.render(conversation, &messages[..=i], false, now)?.text;
        if !answered.starts_with(&asked) {
            return Err(Error::Data(format!(
                "the chat template writes what comes before message {} otherwise once that is there, so the reply cannot be told from it; take a template that marks replies with {{% generation %}}",
                i + 1
            )));
        }
        let part = asked.len()..answered.len();
        Ok((answered, part))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::ModelType;
    use crate::text::train_vocabulary;

    const TALK: &str = r#"{"messages": [{"role": "user", "content": "Sun or rain? 😀"}, {"role": "assistant", "content": "Sun 😀\n"}, {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]}, {"role": "assistant", "content": "Rain."}]}"#;

    /// ChatML as in most models: without `{% generation %}`.
    const PLAIN: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    /// A template that leaves out the thinking of all but the last reply.
    const FORGETFUL: &str = "{% for m in messages %}{{ '<' + m.role + '>' + (m.content if loop.last else m.content.split('</think>')[-1]) + ';' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

    fn rows(text: &str) -> Rows {
        Rows::read("talks.jsonl", text).unwrap()
    }

    fn template(text: &str) -> ChatTemplate {
        ChatTemplate::new(text, BTreeMap::new()).unwrap()
    }

    /// The text of each consecutive range of tokens that is trained on.
    fn learned(tokenizer: &Tokenizer, document: &Document) -> Vec<String> {
        let tokens: Vec<(u32, bool)> = document.ids.iter().copied().zip(document.assistant_mask.iter().copied()).collect();
        let runs = tokens.chunk_by(|a, b| a.1 == b.1).filter(|run| run[0].1);
        runs.map(|run| tokenizer.decode(&run.iter().map(|(id, _)| *id).collect::<Vec<u32>>())).collect()
    }

    #[test]
    fn the_assistants_turns_are_learned_token_by_token() {
        for model_type in [ModelType::Llama, ModelType::Mistral, ModelType::Qwen2, ModelType::Gemma3Text] {
            let pairs = train_vocabulary([include_str!("conversation.rs")].into_iter(), 600, model_type).unwrap();
            for tokenizer in [pairs, Tokenizer::bytes()] {
                let template = ChatTemplate::of(&tokenizer, model_type).unwrap();
                let documents = rows(TALK).documents(&tokenizer, &template, 0).unwrap();
                let [document] = &documents[..] else { panic!("one conversation is one document") };
                let end = template.end_of_reply(0).unwrap();
                let space = if model_type == ModelType::Mistral { " " } else { "" };
                assert_eq!(learned(&tokenizer, document), [format!("{space}Sun 😀\n{end}"), format!("{space}Rain.{end}")]);
                let Row::Conversation(talk) = &rows(TALK).rows[0].1 else { panic!("a conversation") };
                let text = template.render(talk, &talk.messages, false, 0).unwrap().text;
                assert_eq!(tokenizer.decode(&document.ids), text);
                // No token precedes the template's own start.
                assert_eq!(document.ids, tokenizer.encode(&text).unwrap());
            }
        }
    }

    #[test]
    fn without_marks_a_reply_is_what_the_text_has_more() {
        let tokenizer = Tokenizer::bytes();
        let documents = rows(TALK).documents(&tokenizer, &template(PLAIN), 0).unwrap();
        assert_eq!(documents.len(), 1);
        assert_eq!(learned(&tokenizer, &documents[0]), ["Sun 😀\n<|im_end|>\n", "Rain.<|im_end|>\n"]);
    }

    #[test]
    fn where_earlier_replies_are_shown_otherwise_each_is_a_document() {
        let talk = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "hm</think>b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "oh</think>d"}]}"#;
        let tokenizer = Tokenizer::bytes();
        let documents = rows(talk).documents(&tokenizer, &template(FORGETFUL), 0).unwrap();
        let texts: Vec<String> = documents.iter().map(|document| tokenizer.decode(&document.ids)).collect();
        assert_eq!(texts, ["<user>a;<assistant>hm</think>b;", "<user>a;<assistant>b;<user>c;<assistant>oh</think>d;"]);
        assert_eq!(learned(&tokenizer, &documents[0]), ["hm</think>b;"]);
        assert_eq!(learned(&tokenizer, &documents[1]), ["oh</think>d;"]);
    }

    #[test]
    fn a_reply_that_cannot_be_told_from_its_prompt_is_an_error() {
        let reversed = template("{% for m in messages[::-1] %}{{ m.content }};{% endfor %}");
        let said = rows(TALK).documents(&Tokenizer::bytes(), &reversed, 0).unwrap_err().to_string();
        assert!(said.contains("line 1") && said.contains("{% generation %}"), "{said}");
        let silent = template("{% for m in messages %}{{ m.role }}{% endfor %}{% generation %}{% endgeneration %}");
        let said = rows(TALK).documents(&Tokenizer::bytes(), &silent, 0).unwrap_err().to_string();
        assert!(said.contains("nothing"), "{said}");
    }

    #[test]
    fn texts_are_learned_whole_and_end() {
        let tokenizer = train_vocabulary([include_str!("conversation.rs")].into_iter(), 400, ModelType::Llama).unwrap();
        let template = ChatTemplate::of(&tokenizer, ModelType::Llama).unwrap();
        let rows = rows("\u{feff}{\"text\": \"one\"}\r\n\n{\"text\": \"two\", \"id\": 7}\n");
        let documents = rows.documents(&tokenizer, &template, 0).unwrap();
        let texts: Vec<String> = documents.iter().map(|document| tokenizer.decode(&document.ids)).collect();
        assert_eq!(texts, ["one<|eot_id|>", "two<|eot_id|>"]);
        assert!(documents.iter().all(|document| document.assistant_mask.iter().all(|&learned| learned)));
        assert_eq!(rows.texts().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(super::tests::rows(TALK).texts().nth(2), Some("And now?"));
    }

    #[test]
    fn a_call_of_a_tool_needs_no_content_and_reaches_the_template() {
        let talk = r#"{"tools": [{"z": 1, "a": 2}], "messages": [{"role": "user", "content": "t?"}, {"role": "assistant", "content": null, "tool_calls": [{"name": "f", "arguments": {"y": 1, "x": 2}}]}]}"#;
        let template = template(
            "{{ tools | tojson }}{% for m in messages %}{% generation %}{{ m.tool_calls | tojson if m.content is not defined else '' }}{% endgeneration %}{% endfor %}",
        );
        let tokenizer = Tokenizer::bytes();
        let documents = rows(talk).documents(&tokenizer, &template, 0).unwrap();
        let written = r#"[{"z": 1, "a": 2}][{"name": "f", "arguments": {"y": 1, "x": 2}}]"#;
        assert_eq!(tokenizer.decode(&documents[0].ids), written);
        assert_eq!(learned(&tokenizer, &documents[0]), [&written[18..]]);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_number() {
        for (line, expected) in [
            ("{", "EOF"),
            ("7", "line 3"),
            ("{\"message\": []}", "neither \"messages\" nor \"text\""),
            ("{\"messages\": []}", "nothing to learn"),
            ("{\"messages\": [{\"content\": \"a\"}]}", "role"),
            ("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "nothing to learn"),
            ("{\"messages\": [{\"role\": \"assistant\"}]}", "message 1 has no content"),
            ("{\"messages\": [{\"role\": \"assistant\", \"content\": 1}]}", "list of"),
            ("{\"messages\": [{\"role\": \"assistant\", \"content\": [{\"type\": \"image\"}]}]}", "list of"),
            ("{\"text\": 1}", "string"),
        ] {
            let said = Rows::read("talks.jsonl", &format!("{TALK}\n\n{line}\n")).unwrap_err().to_string();
            assert!(said.starts_with("talks.jsonl, line 3: ") && said.contains(expected), "{expected}: {said}");
            assert!(!said.contains("line 1"), "{said}");
        }
        let marked = r#"{"messages": [{"role": "assistant", "content": "\ufdd0"}]}"#;
        let said = rows(marked).documents(&Tokenizer::bytes(), &template(PLAIN), 0).unwrap_err().to_string();
        assert!(said.contains("line 1") && said.contains("U+FDD0"), "{said}");
    }
}
