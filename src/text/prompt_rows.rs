//! Rows of prompts: JSON lines or a JSON array, with any columns beside `prompt`.

use std::collections::BTreeMap;

use minijinja::Value as Variable;
use serde_json::{Map, Value};

use super::conversation::{Conversation, Message, objects};
use super::json_rows::read_rows;
use super::prompt::Prompt;
use super::rows::without_mark;
use super::template::ChatTemplate;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result, shortened};
use crate::model::ModelType;

const PROMPT: &str = "prompt";
const ANSWER: &str = "answer";
/// What ends a completion of bytes: the end of a line.
const END_OF_BYTES: u32 = b'\n' as u32;

/// Rows of prompts.
#[derive(Clone, Debug)]
pub struct PromptRows {
    file: String,
    /// The rows with their line numbers, from 1.
    rows: Vec<(usize, Row)>,
}

#[derive(Clone, Debug)]
struct Row {
    asked: Asked,
    columns: Map<String, Value>,
}

#[derive(Clone, Debug)]
enum Asked {
    Text(String),
    Conversation(Conversation),
}

/// Rows of prompts as token ids.
pub struct EncodedPrompts {
    /// The prompts.
    pub prompts: Vec<Prompt>,
    /// The tokens of which each ends a completion.
    pub end: Vec<u32>,
    /// The tokenizer, with the chat template that was used, if one was.
    pub tokenizer: Tokenizer,
}

impl PromptRows {
    /// Reads JSON lines, of which empty ones are skipped, or a JSON array. `file` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] with the line and its problem.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        Ok(PromptRows { file: file.to_owned(), rows: read_rows(file, without_mark(text), Row::read)? })
    }

    /// How many rows there are, in words.
    pub fn count(&self) -> String {
        format!("{} prompt{}", self.rows.len(), if self.rows.len() == 1 { "" } else { "s" })
    }

    /// All prompts or their messages, and the answers that are texts, for training a vocabulary.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|(_, row)| {
            let asked: Vec<&str> = match &row.asked {
                Asked::Text(text) => vec![text],
                Asked::Conversation(conversation) => conversation.messages.iter().filter_map(|m| m.content.as_deref()).collect(),
            };
            asked.into_iter().chain(row.answer())
        })
    }

    /// Encodes the prompts, conversations by the chat template of the tokenizer or a built-in one, with what asks for a reply. `now` is the
    /// time in seconds since 1970, for templates that write the date. A column `answer` that is a text becomes the prompt's answer.
    ///
    /// # Errors
    /// [`Error::Data`] with the line that the template cannot render or the tokenizer cannot encode; or if there are conversations, and no
    /// template that can be used.
    pub fn encode(&self, tokenizer: Tokenizer, model_type: ModelType, now: u64) -> Result<EncodedPrompts> {
        let is_conversation = |(_, row): &(usize, Row)| matches!(row.asked, Asked::Conversation(_));
        let template = match self.rows.iter().any(is_conversation) {
            true => Some(ChatTemplate::of(&tokenizer, model_type)?),
            false => None,
        };
        let end_of_reply = template.as_ref().map(|template| template.end_of_reply(now).unwrap_or_default()).unwrap_or_default();
        let tokenizer = match template.as_ref().and_then(ChatTemplate::source) {
            Some(source) => tokenizer.with_chat_template(source, &end_of_reply),
            None => tokenizer,
        };
        let end = match tokenizer.is_bytes() {
            true => vec![END_OF_BYTES],
            false => tokenizer.special_token_ids().eos.clone(),
        };
        let prompts = self.rows.iter().map(|(number, row)| {
            let end_of_answer = match &row.asked {
                Asked::Text(_) => tokenizer.end_of_text(),
                Asked::Conversation(_) => tokenizer.token_id(&end_of_reply).filter(|_| !tokenizer.is_bytes()),
            };
            let encoded = row.encode(&tokenizer, template.as_ref(), end_of_answer.or(end.first().copied()), now);
            encoded.map_err(|error| Error::Data(format!("{}, line {number}: {error}", self.file)))
        });
        Ok(EncodedPrompts { prompts: prompts.collect::<Result<_>>()?, end, tokenizer })
    }
}

impl Row {
    /// Reads a row. Returns a sentence about the problem otherwise.
    fn read(json: &str) -> Result<Self, String> {
        let columns: Map<String, Value> = match serde_json::from_str(json) {
            Ok(Value::Object(columns)) => columns,
            Ok(_) => return Err(format!("{} is no object; a row has \"prompt\"", shortened(json.trim(), 40))),
            Err(error) => return Err(error.to_string().replace(" at line 1 column", " at column")),
        };
        let asked = match columns.get(PROMPT) {
            Some(Value::String(text)) => Asked::Text(text.clone()),
            Some(Value::Array(messages)) => Asked::Conversation(conversation(messages, &columns)?),
            Some(_) => return Err("\"prompt\" is no text and no list of messages".to_owned()),
            None => {
                let keys: Vec<&str> = columns.keys().map(String::as_str).collect();
                let found = if keys.is_empty() { "there are no keys".to_owned() } else { format!("the keys are {}", keys.join(", ")) };
                return Err(format!("{found}; the objective grpo samples completions of \"prompt\", a text or a list of messages"));
            }
        };
        Ok(Row { asked, columns })
    }

    fn answer(&self) -> Option<&str> {
        self.columns.get(ANSWER).and_then(Value::as_str)
    }

    fn encode(&self, tokenizer: &Tokenizer, template: Option<&ChatTemplate>, end: Option<u32>, now: u64) -> Result<Prompt> {
        let ids = match &self.asked {
            Asked::Text(text) => {
                let ids = tokenizer.encode(text)?;
                let [before, _] = tokenizer.around(text, &ids);
                [before, &ids].concat()
            }
            Asked::Conversation(conversation) => {
                let template = template.expect("there is one if there are conversations");
                tokenizer.encode(&template.render(conversation, &conversation.messages, true, now)?.text)?
            }
        };
        let answer = self.answer().map(|answer| Ok::<_, Error>(tokenizer.encode(answer)?.into_iter().chain(end).collect()));
        Ok(Prompt { ids, columns: self.columns.clone(), answer: answer.transpose()? })
    }
}

/// The conversation that a reply is sampled for, with the tools and the variables of its row.
fn conversation(messages: &[Value], columns: &Map<String, Value>) -> Result<Conversation, String> {
    let message = |(message, number): (&Value, usize)| {
        serde_json::from_value::<Message>(message.clone()).map_err(|e| format!("message {number} of \"prompt\" cannot be read ({e})"))
    };
    let messages: Vec<Message> = messages.iter().zip(1..).map(message).collect::<Result<_, _>>()?;
    if messages.is_empty() {
        return Err("\"prompt\" has no message; give what is to be answered".to_owned());
    }
    let variable = |value: &Value| serde_json::from_value::<Variable>(value.clone()).expect("a template knows whatever JSON has");
    let tools = columns.get("tools").map_or(Ok(None), |tools| objects(variable(tools), "tools"))?;
    let variables = match columns.get("chat_template_kwargs") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(variables) => {
            serde_json::from_value(variables.clone()).map_err(|e| format!("\"chat_template_kwargs\" cannot be read ({e})"))?
        }
    };
    Ok(Conversation { messages, tools: tools.unwrap_or(Variable::from(())), variables })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::train_vocabulary;

    const CHAT: &str = r#"{"prompt": [{"role": "user", "content": "Sun or rain?"}], "answer": "Sun.", "id": 7}"#;

    fn encoded(rows: &str) -> EncodedPrompts {
        let tokenizer = train_vocabulary([include_str!("conversation.rs")].into_iter(), 400, ModelType::Llama).unwrap();
        PromptRows::read("prompts.jsonl", rows).unwrap().encode(tokenizer, ModelType::Llama, 0).unwrap()
    }

    #[test]
    fn a_text_is_asked_as_it_stands_and_keeps_its_columns() {
        let EncodedPrompts { prompts, end, tokenizer } =
            encoded("{\"prompt\": \"Sun or\", \"answer\": \" rain\", \"n\": 3}\n\n{\"prompt\": \"a\"}");
        assert!(tokenizer.decode(&prompts[0].ids).ends_with("Sun or"));
        let answer = prompts[0].answer.as_deref().unwrap();
        assert_eq!(tokenizer.decode(answer), " rain<|eot_id|>");
        assert!(end.contains(answer.last().unwrap()));
        assert_eq!((&prompts[0].columns["n"], &prompts[1].answer), (&Value::from(3), &None));
    }

    #[test]
    fn a_conversation_is_asked_for_its_reply() {
        let EncodedPrompts { prompts, end, tokenizer } = encoded(CHAT);
        let asked = tokenizer.decode(&prompts[0].ids);
        assert!(asked.contains("Sun or rain?") && asked.ends_with("<|start_header_id|>assistant<|end_header_id|>\n\n"), "{asked}");
        let answer = prompts[0].answer.as_deref().unwrap();
        assert_eq!((tokenizer.decode(answer).as_str(), end.contains(answer.last().unwrap())), ("Sun.<|eot_id|>", true));
        assert!(prompts[0].columns["prompt"].is_array());
        assert_eq!(PromptRows::read("f", CHAT).unwrap().texts().collect::<Vec<_>>(), ["Sun or rain?", "Sun."]);
    }

    #[test]
    fn bytes_end_with_their_line() {
        let rows = PromptRows::read("f", r#"[{"prompt": "1 + 1 = ", "answer": "2"}]"#).unwrap();
        let EncodedPrompts { prompts, end, .. } = rows.encode(Tokenizer::bytes(), ModelType::Llama, 0).unwrap();
        assert_eq!((prompts[0].ids.len(), prompts[0].answer.as_deref(), &end[..]), (8, Some(&[50, 10][..]), &[10][..]));
        assert_eq!(rows.count(), "1 prompt");
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said_with_its_line() {
        for (row, expected) in [
            ("{\"text\": \"a\"}", "the keys are text; the objective grpo"),
            ("{}", "there are no keys"),
            ("7", "is no object"),
            ("{", "EOF"),
            ("{\"prompt\": 1}", "no text and no list"),
            ("{\"prompt\": []}", "no message"),
            ("{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"content\": \"a\"}]}", "message 2 of \"prompt\""),
            ("{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"tools\": \"f\"}", "tools is a text that is no JSON"),
        ] {
            let said = PromptRows::read("f.jsonl", &format!("{CHAT}\n{row}\n")).unwrap_err().to_string();
            assert!(said.starts_with("f.jsonl, line 2: ") && said.contains(expected), "{expected}: {said}");
        }
    }
}
