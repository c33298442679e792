//! The rows of training data: what they may hold.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value;
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::conversation::{Conversation, Message, objects};
use crate::error::shortened;

/// The content of a row.
#[derive(Clone, Debug)]
pub enum Row {
    /// A row with `messages` or `conversations`, or whose `prompt` and `completion` are messages.
    Conversation(Conversation),
    /// A row with `text`.
    Text(String),
    /// A row with a `prompt` and a `completion`, of which the latter is trained on.
    Completion(String, String),
}

/// The forms of rows, for error messages.
const FORMS: &str = "a row has \"messages\", \"text\", \"prompt\" and \"completion\", or \"conversations\"";

#[derive(Deserialize)]
struct Fields {
    messages: Option<Messages>,
    conversations: Option<Vec<Turn>>,
    prompt: Option<Messages>,
    completion: Option<Messages>,
    text: Option<String>,
    #[serde(default)]
    tools: Value,
    /// What a conversation of `conversations` begins with.
    system: Option<String>,
    chat_template_kwargs: Option<BTreeMap<String, Value>>,
}

/// A list of messages, which may be JSON text; or a text.
enum Messages {
    List(Vec<Message>),
    Text(String),
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MessagesVisitor)
    }
}

struct MessagesVisitor;

impl<'de> Visitor<'de> for MessagesVisitor {
    type Value = Messages;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Messages, E> {
        Ok(Messages::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Messages, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(sequence)).map(Messages::List)
    }
}

/// A message in the form of ShareGPT.
#[derive(Deserialize)]
struct Turn {
    #[serde(alias = "role")]
    from: String,
    #[serde(alias = "content")]
    value: String,
    weight: Option<f64>,
    train: Option<bool>,
}

impl Row {
    /// Reads a row. Returns a sentence about the problem otherwise.
    pub(super) fn read(json: &str) -> Result<Self, String> {
        if !json.trim_start().starts_with('{') {
            return Err(format!("{} is no object; {FORMS}", shortened(json.trim(), 40)));
        }
        let fields: Fields = serde_json::from_str(json).map_err(|e| within(&e))?;
        let Fields { messages, conversations, prompt, completion, text, tools, system, chat_template_kwargs } = fields;
        let messages = match (messages, conversations, prompt, completion, text) {
            (Some(Messages::List(messages)), ..) => messages,
            (Some(Messages::Text(text)), ..) => serde_json::from_str(&text)
                .map_err(|e| format!("\"messages\" is a text that is no JSON list of messages ({})", within(&e)))?,
            (None, Some(turns), ..) => messages_of(turns, system)?,
            (None, None, Some(Messages::Text(prompt)), Some(Messages::Text(completion)), _) => {
                return Ok(Row::Completion(prompt, completion));
            }
            (None, None, Some(Messages::List(prompt)), Some(Messages::List(completion)), _) => {
                prompt.into_iter().map(Message::into_context).chain(completion).collect()
            }
            (None, None, Some(_), Some(_), _) => {
                return Err("\"prompt\" and \"completion\" are a text and a list of messages; they must be of one kind".to_owned());
            }
            (.., Some(text)) => return Ok(Row::Text(text)),
            _ => return Err(unknown(json)),
        };
        let tools = objects(tools, "tools")?.unwrap_or(Value::from(()));
        let conversation = Conversation { messages, tools, variables: chat_template_kwargs.unwrap_or_default() };
        conversation.check()?;
        Ok(Row::Conversation(conversation))
    }

    /// Is that the object of a row, in one of the forms?
    pub(super) fn is_known(json: &str) -> bool {
        let keys = keys(json);
        let has = |key: &str| keys.iter().any(|known| known == key);
        has("messages") || has("conversations") || has("text") || has("prompt") && has("completion")
    }
}

/// An error within a line of JSON. The column locates it, and "line 1" would be confusing.
fn within(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column", " at column")
}

/// The keys of a JSON object; none if it is none.
pub(super) fn keys(json: &str) -> Vec<String> {
    let mut keys: Vec<String> =
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).into_iter().flatten().map(|(key, _)| key).collect();
    keys.sort();
    keys
}

/// What to do with a row that has none of the forms.
fn unknown(json: &str) -> String {
    let keys = keys(json);
    let has = |key: &str| keys.iter().any(|known| known == key);
    let advice =
        if has("instruction") && has("output") { "; write the instruction as a prompt, and the output as a completion" } else { "" };
    let found = if keys.is_empty() { "there are no keys".to_owned() } else { format!("the keys are {}", keys.join(", ")) };
    format!("{found}; {FORMS}{advice}")
}

/// The messages of ShareGPT's turns.
fn messages_of(turns: Vec<Turn>, system: Option<String>) -> Result<Vec<Message>, String> {
    let mut messages = Vec::new();
    for (Turn { from, value, weight, train }, number) in turns.into_iter().zip(1..) {
        let role = match from.as_str() {
            "human" | "user" => "user",
            "gpt" | "assistant" | "model" | "chatgpt" => "assistant",
            "system" => "system",
            "tool" | "observation" | "function_response" => "tool",
            other => return Err(format!("message {number} is from {other:?}; known are human, gpt, system and tool")),
        };
        let weight = match weight {
            None => None,
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            Some(weight) => return Err(format!("the weight of a message is 0 or 1, and that of message {number} is {weight}")),
        };
        messages.push(Message::new(role, &value).trained_if(weight, train));
    }
    let system = system.filter(|text| !text.is_empty() && messages.first().is_none_or(|first| first.role != "system"));
    Ok(system.map(|text| Message::new("system", &text)).into_iter().chain(messages).collect())
}
