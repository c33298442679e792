//! Conversations: sequences of messages.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Deserialize;

/// A conversation: a sequence of messages, with the tools that the assistant may call.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The messages.
    pub messages: Vec<Message>,
    /// The tools that the assistant may call, as a value for the template.
    pub(super) tools: Value,
}

/// A message.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// The role: `system`, `user`, `assistant`, or another one that the template knows.
    pub role: String,
    /// The content; `None` if the assistant calls a tool.
    #[serde(default, deserialize_with = "plain_text")]
    pub content: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the content of a message is a text, or a list of {\"type\": \"text\", \"text\": \"…\"}")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Part {
    Text { text: String },
}

fn plain_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Content>::deserialize(deserializer)?.map(|content| match content {
        Content::Text(text) => text,
        Content::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
    }))
}

impl Message {
    /// A message with a text.
    pub fn new(role: &str, content: &str) -> Self {
        Message { role: role.to_owned(), content: Some(content.to_owned()), others: BTreeMap::new() }
    }

    pub(super) fn is_reply(&self) -> bool {
        self.role == "assistant"
    }

    /// The message as a value for a template, without null fields.
    pub(super) fn value(&self) -> Value {
        let content = self.content.as_ref().map(|content| ("content".to_owned(), Value::from(content)));
        let said = [("role".to_owned(), Value::from(&self.role))].into_iter().chain(content);
        let others = self.others.iter().filter(|(_, value)| !value.is_none()).map(|(name, value)| (name.clone(), value.clone()));
        said.chain(others).collect::<BTreeMap<String, Value>>().into()
    }
}

impl Conversation {
    /// A conversation without tools.
    pub fn new(messages: Vec<Message>) -> Self {
        Conversation { messages, tools: Value::from(()) }
    }

    /// Checks that the conversation can be trained on. Returns a sentence about the problem otherwise.
    pub(super) fn check(&self) -> Result<(), String> {
        let silent = |message: &Message| message.content.is_none() && !message.others.contains_key("tool_calls");
        if let Some(at) = self.messages.iter().position(silent) {
            return Err(format!("message {} has no content", at + 1));
        }
        if !self.messages.iter().any(Message::is_reply) {
            return Err("no message is from the assistant, so there is nothing to learn".to_owned());
        }
        Ok(())
    }
}
