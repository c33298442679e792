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
    /// A row with `chosen` and `rejected`: two completions or conversations with one prompt.
    Preference(Box<[Row; 2]>),
}

/// The forms of rows, for error messages.
const FORMS: &str = "a row has \"messages\", \"text\", \"prompt\" and \"completion\", \"chosen\" and \"rejected\", or \"conversations\"";

#[derive(Deserialize)]
struct Fields {
    messages: Option<Messages>,
    conversations: Option<Vec<Turn>>,
    prompt: Option<Messages>,
    completion: Option<Messages>,
    chosen: Option<Messages>,
    rejected: Option<Messages>,
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
        let Fields { messages, conversations, prompt, completion, chosen, rejected, text, tools, system, chat_template_kwargs } = fields;
        let tools = objects(tools, "tools")?.unwrap_or(Value::from(()));
        let variables = chat_template_kwargs.unwrap_or_default();
        let conversation = |messages: Vec<Message>| {
            let conversation = Conversation { messages, tools: tools.clone(), variables: variables.clone() };
            conversation.check().map(|()| Row::Conversation(conversation))
        };
        if let (Some(chosen), Some(rejected)) = (chosen, rejected) {
            return preference(prompt, [chosen, rejected], conversation);
        }
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
        conversation(messages)
    }

    /// Its texts and message contents.
    pub(super) fn texts(&self) -> Vec<&str> {
        match self {
            Row::Text(text) => vec![text],
            Row::Completion(prompt, completion) => vec![prompt, completion],
            Row::Conversation(conversation) => conversation.messages.iter().filter_map(|m| m.content.as_deref()).collect(),
            Row::Preference(answers) => answers.iter().flat_map(Row::texts).collect(),
        }
    }

    /// Is it, or has it, a conversation?
    pub(super) fn has_conversation(&self) -> bool {
        match self {
            Row::Conversation(_) => true,
            Row::Preference(answers) => answers.iter().any(Row::has_conversation),
            Row::Text(_) | Row::Completion(..) => false,
        }
    }

    /// Is that the object of a row, in one of the forms?
    pub(super) fn is_known(json: &str) -> bool {
        let keys = keys(json);
        let has = |key: &str| keys.iter().any(|known| known == key);
        let is_preference = has("chosen") && has("rejected");
        has("messages") || has("conversations") || has("text") || has("prompt") && has("completion") || is_preference
    }
}

/// A row of two answers. Without a prompt it is what both begin with, as in TRL.
fn preference(
    prompt: Option<Messages>,
    answers: [Messages; 2],
    conversation: impl Fn(Vec<Message>) -> Result<Row, String>,
) -> Result<Row, String> {
    let no_prompt =
        || "\"chosen\" and \"rejected\" begin unlike, and there is no \"prompt\"; give what both answer as \"prompt\"".to_owned();
    match (prompt, answers) {
        (Some(Messages::Text(prompt)), [Messages::Text(chosen), Messages::Text(rejected)]) => {
            Ok(Row::Preference(Box::new([chosen, rejected].map(|answer| Row::Completion(prompt.clone(), answer)))))
        }
        (None, [Messages::Text(chosen), Messages::Text(rejected)]) => {
            let (prompt, answers) = common_beginning(&chosen, &rejected).ok_or_else(no_prompt)?;
            Ok(Row::Preference(Box::new(answers.map(|answer| Row::Completion(prompt.to_owned(), answer.to_owned())))))
        }
        (prompt @ (None | Some(Messages::List(_))), [Messages::List(chosen), Messages::List(rejected)]) => {
            let (prompt, chosen, rejected) = match prompt {
                Some(Messages::List(prompt)) => (prompt, chosen, rejected),
                _ => {
                    let same = chosen.iter().zip(&rejected).take_while(|(a, b)| (&a.role, &a.content) == (&b.role, &b.content)).count();
                    if same == 0 {
                        return Err(no_prompt());
                    }
                    (chosen[..same].to_vec(), chosen[same..].to_vec(), rejected[same..].to_vec())
                }
            };
            let context: Vec<Message> = prompt.into_iter().map(Message::into_context).collect();
            let [chosen, rejected] = [chosen, rejected].map(|answer| conversation(context.iter().cloned().chain(answer).collect()));
            Ok(Row::Preference(Box::new([chosen?, rejected?])))
        }
        _ => Err("\"prompt\", \"chosen\" and \"rejected\" are texts and lists of messages; they must be of one kind".to_owned()),
    }
}

/// What two texts begin with, and how each goes on. A space before their difference belongs to what follows, where tokenizers have it.
fn common_beginning<'a>(a: &'a str, b: &'a str) -> Option<(&'a str, [&'a str; 2])> {
    let same: usize = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
    let end = a[..same].strip_suffix(' ').map_or(same, str::len);
    (end > 0).then(|| (&a[..end], [&a[end..], &b[end..]]))
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
