//! Conversations: sequences of messages.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A conversation: a sequence of messages, with the tools that the assistant may call.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The messages.
    pub messages: Vec<Message>,
    /// The tools that the assistant may call, as a value for the template.
    pub(super) tools: Value,
    /// More variables of the template.
    pub(super) variables: BTreeMap<String, Value>,
}

/// A message.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Fields")]
pub struct Message {
    /// The role: `system`, `user`, `assistant`, or another one that the template knows.
    pub role: String,
    /// The content; `None` if the assistant calls a tool.
    pub content: Option<String>,
    /// Whether the message is trained on, if it says that itself.
    is_trained: Option<bool>,
    others: BTreeMap<String, Value>,
}

/// A message as it is written.
#[derive(Deserialize)]
struct Fields {
    role: String,
    #[serde(default, deserialize_with = "plain_text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "zero_or_one")]
    weight: Option<bool>,
    #[serde(default)]
    train: Option<bool>,
    #[serde(default, deserialize_with = "tool_calls")]
    tool_calls: Option<Value>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl From<Fields> for Message {
    fn from(fields: Fields) -> Self {
        let Fields { role, content, weight, train, tool_calls, mut others } = fields;
        others.extend(tool_calls.map(|calls| (TOOL_CALLS.to_owned(), calls)));
        Message { role, content, is_trained: None, others }.trained_if(weight, train)
    }
}

const TOOL_CALLS: &str = "tool_calls";

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

fn plain_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Content>::deserialize(deserializer)?.map(|content| match content {
        Content::Text(text) => text,
        Content::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
    }))
}

fn zero_or_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Option::<f64>::deserialize(deserializer)? {
        None => Ok(None),
        Some(0.0) => Ok(Some(false)),
        Some(1.0) => Ok(Some(true)),
        Some(weight) => Err(D::Error::custom(format!("the weight of a message is 0 or 1, and this one is {weight}"))),
    }
}

fn tool_calls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    objects(Value::deserialize(deserializer)?, TOOL_CALLS).map_err(D::Error::custom)
}

/// A list of objects for a template, or such a list as JSON text. `None` for null. Otherwise it is an error with the field's name: a
/// template would go through a text character by character.
pub(super) fn objects(value: Value, field: &str) -> Result<Option<Value>, String> {
    let value = match value.as_str() {
        Some(text) if text.trim().is_empty() => return Ok(None),
        Some(text) => json(text).ok_or_else(|| format!("{field} is a text that is no JSON"))?,
        None => value,
    };
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(None),
        ValueKind::Seq if value.try_iter().is_ok_and(|mut items| items.all(|item| item.kind() == ValueKind::Map)) => Ok(Some(value)),
        _ => Err(format!("{field} is no list of objects, and no JSON text of one")),
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Tool calls with their arguments as values, where they are JSON text.
fn with_arguments(calls: &Value) -> Value {
    let parsed = |call: Value| {
        let of_function = call.get_attr("function").ok().filter(|function| function.kind() == ValueKind::Map);
        match of_function {
            Some(function) => replaced(&call, "function", parsed_arguments(&function)),
            None => parsed_arguments(&call),
        }
    };
    calls.try_iter().map_or_else(|_| calls.clone(), |calls| calls.map(parsed).collect())
}

fn parsed_arguments(function: &Value) -> Value {
    let arguments = function.get_attr("arguments").ok();
    let value = arguments.and_then(|arguments| json(arguments.as_str()?)).filter(|value| value.kind() == ValueKind::Map);
    value.map_or_else(|| function.clone(), |value| replaced(function, "arguments", value))
}

/// An object with another value for a key that it has, in the order that it has.
fn replaced(object: &Value, name: &str, value: Value) -> Value {
    let entry = |key: Value| {
        let entry = if key.as_str() == Some(name) { value.clone() } else { object.get_item(&key).unwrap_or_default() };
        (key, entry)
    };
    Value::from_pairs(object.try_iter().into_iter().flatten().map(entry))
}

impl Message {
    /// A message with a text.
    pub fn new(role: &str, content: &str) -> Self {
        Message { role: role.to_owned(), content: Some(content.to_owned()), is_trained: None, others: BTreeMap::new() }
    }

    /// The same message with what it says itself about training on it. If either says no, it is not trained on.
    pub(super) fn trained_if(self, weight: Option<bool>, train: Option<bool>) -> Self {
        let is_trained = match (weight, train) {
            (Some(weight), Some(train)) => Some(weight && train),
            (weight, train) => weight.or(train),
        };
        Message { is_trained, ..self }
    }

    /// The same message, not trained on.
    pub(super) fn into_context(self) -> Self {
        Message { is_trained: Some(false), ..self }
    }

    pub(super) fn is_reply(&self) -> bool {
        self.role == "assistant"
    }

    /// Is it a reply that is trained on?
    pub(super) fn is_trained(&self) -> bool {
        self.is_reply() && self.is_trained.unwrap_or(true)
    }

    /// The same message with another text.
    pub(super) fn with_content(&self, content: &str) -> Self {
        Message { content: Some(content.to_owned()), ..self.clone() }
    }

    /// The message as a value for a template, without null fields. Arguments of tool calls that are JSON text are values unless the
    /// template `reads_arguments` as they are.
    pub(super) fn value(&self, reads_arguments: bool) -> Value {
        let content = self.content.as_ref().map(|content| ("content".to_owned(), Value::from(content)));
        let said = [("role".to_owned(), Value::from(&self.role))].into_iter().chain(content);
        let others = self.others.iter().filter(|(_, value)| !value.is_none()).map(|(name, value)| {
            let value = if name == TOOL_CALLS && !reads_arguments { with_arguments(value) } else { value.clone() };
            (name.clone(), value)
        });
        said.chain(others).collect::<BTreeMap<String, Value>>().into()
    }
}

impl Conversation {
    /// A conversation without tools.
    pub fn new(messages: Vec<Message>) -> Self {
        Conversation { messages, tools: Value::from(()), variables: BTreeMap::new() }
    }

    /// Checks that the conversation can be trained on. Returns a sentence about the problem otherwise.
    pub(super) fn check(&self) -> Result<(), String> {
        let silent = |message: &Message| message.content.is_none() && !message.others.contains_key(TOOL_CALLS);
        if let Some(at) = self.messages.iter().position(silent) {
            return Err(format!("message {} has no content", at + 1));
        }
        let trains_on_another = |message: &Message| !message.is_reply() && message.is_trained == Some(true);
        if let Some(at) = self.messages.iter().position(trains_on_another) {
            return Err(format!(
                "message {} is to be trained on and is from {}; only the assistant's are trained on",
                at + 1,
                self.messages[at].role
            ));
        }
        if !self.messages.iter().any(Message::is_reply) {
            let roles: std::collections::BTreeSet<&str> = self.messages.iter().map(|message| message.role.as_str()).collect();
            let roles = roles.into_iter().collect::<Vec<&str>>().join(", ");
            let found = if roles.is_empty() { String::new() } else { format!(" (the roles are {roles})") };
            return Err(format!("no message is from the assistant{found}, so there is nothing to learn"));
        }
        Ok(())
    }
}
