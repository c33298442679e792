//! Training data as rows of JSON: lines, or an array.

use super::conversation::Conversation;
use super::document::Document;
use super::json_rows::{extension, first_element, is_named_as_rows, read_rows, values};
use super::row::{Row, keys};
use super::template::ChatTemplate;
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use crate::model::ModelType;

/// Rows of training data.
#[derive(Clone, Debug)]
pub struct Rows {
    file: String,
    /// The rows with their line numbers, from 1.
    rows: Vec<(usize, Row)>,
}

/// Rows as token ids.
pub struct EncodedRows {
    /// The documents.
    pub documents: Vec<Document>,
    /// The tokenizer, with the chat template that was used, if one was.
    pub tokenizer: Tokenizer,
    /// What is odd about the template.
    pub notice: Option<&'static str>,
}

/// Rows of two answers as token ids.
pub struct EncodedPairs {
    /// The chosen and the rejected document of each row.
    pub pairs: Vec<[Document; 2]>,
    /// The tokenizer, with the chat template that was used, if one was.
    pub tokenizer: Tokenizer,
    /// What is odd about the template.
    pub notice: Option<&'static str>,
}

const ASKS_OTHERWISE: &str =
    "the chat template asks for a reply with a text that it does not write before one; replies are trained on from where both still agree";

/// What a file of training data holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Rows.
    Rows(Rows),
    /// One text, with a notice if it could be taken for rows.
    Text(Option<String>),
}

impl Content {
    /// Decides by its content whether a text is one of rows. By its name it is, if that ends in `.jsonl` or `.ndjson`; then mistakes are
    /// errors. `file` may be an address.
    ///
    /// # Errors
    /// As [`Rows::read`].
    pub fn of(file: &str, text: &str) -> Result<Self> {
        if is_named_as_rows(file) {
            return Rows::read(file, text).map(Content::Rows);
        }
        let text = without_mark(text);
        let is_array = text.trim_start().starts_with('[');
        let first = if is_array { first_element(text) } else { values(text).ok().and_then(|values| Some(values.first()?.1)) };
        let keys = first.map(keys).unwrap_or_default();
        let is_json = extension(file) == "json";
        let is_rows = first.is_some_and(Row::is_known);
        if is_rows || is_json && !keys.is_empty() && (is_array || values(text).is_ok_and(|values| values.len() > 1)) {
            return Rows::read(file, text).map(Content::Rows);
        }
        Ok(Content::Text(match keys.as_slice() {
            [] if is_json && is_array => Some("is a JSON array without an object, so it has no rows; it is read as one text".to_owned()),
            [] => None,
            keys => Some(format!("begins with a JSON object of the keys {}, which is no row; it is read as one text", keys.join(", "))),
        }))
    }
}

/// A text without the byte order mark at its start.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

impl Rows {
    /// Reads JSON lines, of which empty ones are skipped, or a JSON array. `file` is for error messages.
    ///
    /// # Errors
    /// [`Error::Data`] with the line and its problem.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        Ok(Rows { file: file.to_owned(), rows: read_rows(file, without_mark(text), Row::read)? })
    }

    /// How many rows there are, in words.
    pub fn count(&self) -> String {
        let of = |is: fn(&Row) -> bool| self.rows.iter().filter(|(_, row)| is(row)).count();
        let kinds = [
            (of(|row| matches!(row, Row::Conversation(_))), "conversation"),
            (of(|row| matches!(row, Row::Completion(..))), "completion"),
            (of(|row| matches!(row, Row::Text(_))), "text"),
            (of(|row| matches!(row, Row::Preference(_))), "preference"),
        ];
        let kinds = kinds.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = kinds.map(|(count, kind)| format!("{count} {kind}{}", if count == 1 { "" } else { "s" })).collect();
        if words.is_empty() { "no rows".to_owned() } else { words.join(", ") }
    }

    /// All texts and message contents, for training a vocabulary.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|(_, row)| row.texts())
    }

    /// Encodes the rows, by the chat template of the tokenizer or a built-in one. `now` is the time in seconds since 1970, for templates that
    /// write the date.
    ///
    /// # Errors
    /// [`Error::Data`] with the line that the template cannot render or the tokenizer cannot encode, or that has two answers; or if there are
    /// conversations, and no template that can be used.
    pub fn encode(&self, tokenizer: Tokenizer, model_type: ModelType, now: u64) -> Result<EncodedRows> {
        let (documents, tokenizer, notice) =
            self.encode_by(tokenizer, model_type, now, |tokenizer, of_conversation| self.documents_by(tokenizer, of_conversation))?;
        Ok(EncodedRows { documents, tokenizer, notice })
    }

    /// The same for rows of two answers each.
    ///
    /// # Errors
    /// As [`Rows::encode`]; [`Error::Data`] with the line that has no two answers.
    pub fn encode_pairs(&self, tokenizer: Tokenizer, model_type: ModelType, now: u64) -> Result<EncodedPairs> {
        let (pairs, tokenizer, notice) = self.encode_by(tokenizer, model_type, now, |tokenizer, of_conversation| {
            self.each(|row| match row {
                Row::Preference(answers) => {
                    let [chosen, rejected] = answers.each_ref().map(|answer| one_document(answer, tokenizer, &of_conversation));
                    Ok(vec![[chosen?, rejected?]])
                }
                _ => Err(Error::Data("has no \"chosen\" and \"rejected\", which the objective dpo compares".to_owned())),
            })
        })?;
        Ok(EncodedPairs { pairs, tokenizer, notice })
    }

    /// Encodes by a function of the tokenizer, and of what makes documents of a conversation.
    #[allow(clippy::type_complexity, reason = "a function of functions")]
    fn encode_by<T>(
        &self,
        tokenizer: Tokenizer,
        model_type: ModelType,
        now: u64,
        encode: impl Fn(&Tokenizer, &dyn Fn(&Conversation) -> Result<Vec<Document>>) -> Result<T>,
    ) -> Result<(T, Tokenizer, Option<&'static str>)> {
        if !self.rows.iter().any(|(_, row)| row.has_conversation()) {
            let encoded = encode(&tokenizer, &|_| unreachable!("there is no conversation"))?;
            return Ok((encoded, tokenizer, None));
        }
        let template = ChatTemplate::of(&tokenizer, model_type)?;
        let encoded = encode(&tokenizer, &|conversation| template.documents(&tokenizer, conversation, now))?;
        let tokenizer = match template.source() {
            Some(source) => tokenizer.with_chat_template(source, &template.end_of_reply(now).unwrap_or_default()),
            None => tokenizer,
        };
        let notice = template.asks_otherwise(now).then_some(ASKS_OTHERWISE);
        Ok((encoded, tokenizer, notice))
    }

    /// Encodes the rows with a chat template. `now` is the time in seconds since 1970, for templates that write the date.
    ///
    /// # Errors
    /// [`Error::Data`] with the line that the template cannot render or the tokenizer cannot encode.
    pub fn documents(&self, tokenizer: &Tokenizer, template: &ChatTemplate, now: u64) -> Result<Vec<Document>> {
        self.documents_by(tokenizer, |conversation| template.documents(tokenizer, conversation, now))
    }

    fn documents_by(
        &self,
        tokenizer: &Tokenizer,
        of_conversation: impl Fn(&Conversation) -> Result<Vec<Document>>,
    ) -> Result<Vec<Document>> {
        self.each(|row| documents_of(row, tokenizer, &of_conversation))
    }

    /// What all rows come to. An error names the line.
    fn each<T>(&self, of_row: impl Fn(&Row) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for (number, row) in &self.rows {
            all.extend(of_row(row).map_err(|error| Error::Data(format!("{}, line {number}: {error}", self.file)))?);
        }
        Ok(all)
    }
}

fn documents_of(
    row: &Row,
    tokenizer: &Tokenizer,
    of_conversation: &impl Fn(&Conversation) -> Result<Vec<Document>>,
) -> Result<Vec<Document>> {
    match row {
        Row::Text(text) => Document::of_text(tokenizer, text).map(|document| vec![document]),
        Row::Completion(prompt, completion) => Document::of_completion(tokenizer, prompt, completion).map(|document| vec![document]),
        Row::Conversation(conversation) => of_conversation(conversation),
        Row::Preference(_) => Err(Error::Data("has \"chosen\" and \"rejected\", which only the objective dpo compares".to_owned())),
    }
}

/// The document of an answer.
fn one_document(
    answer: &Row,
    tokenizer: &Tokenizer,
    of_conversation: &impl Fn(&Conversation) -> Result<Vec<Document>>,
) -> Result<Document> {
    let mut documents = documents_of(answer, tokenizer, of_conversation)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) if document.assistant_mask.iter().skip(1).any(|&is_label| is_label) => Ok(document),
        (Some(_), true) => Err(Error::Data("an answer has no token; \"chosen\" and \"rejected\" need some text".to_owned())),
        _ => Err(Error::Data("the chat template takes an answer apart; leave one reply in \"chosen\" and \"rejected\"".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::samples::{PLAIN, TALK, learned, rows, template};
    use crate::text::train_vocabulary;

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
            ("{\"message\": []}", "the keys are message; a row has \"messages\", \"text\""),
            ("{}", "there are no keys"),
            ("[\"a\", \"b\"]", "[\"a\", \"b\"] is no object"),
            ("{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\"}", "keys are input, instruction, output"),
            ("{\"prompt\": \"a\"}", "keys are prompt"),
            ("{\"prompt\": \"a\", \"completion\": []}", "of one kind"),
            ("{\"messages\": \"[{]\"}", "no JSON list of messages"),
            ("{\"conversations\": [{\"from\": \"bing\", \"value\": \"a\"}]}", "message 1 is from \"bing\""),
            (
                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"model\", \"content\": \"a\"}]}",
                "roles are model, user",
            ),
            ("{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\", \"weight\": 0.5}]}", "weight of a message is 0 or 1"),
            (
                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"train\": true}]}",
                "message 1 is to be trained on and is from user",
            ),
            ("{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}], \"tools\": \"f\"}", "tools is a text that is no JSON"),
            ("{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}], \"tools\": {}}", "tools is no list"),
            ("{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [1]}]}", "tool_calls is no list"),
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

    #[test]
    fn every_form_of_rows_is_the_same_conversation() {
        let tokenizer = Tokenizer::bytes();
        let of = |row: &str| rows(row).documents(&tokenizer, &template(PLAIN), 0).unwrap();
        let expected = of(
            r#"{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]}"#,
        );
        assert_eq!(learned(&tokenizer, &expected[0]), ["Yes<|im_end|>\n"]);
        for row in [
            r#"{"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes"}]}"#,
            r#"{"system": "S", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes"}]}"#,
            r#"{"messages": "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Yes\"}]"}"#,
            r#"{"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Yes"}]}"#,
        ] {
            assert_eq!(of(row), expected, "{row}");
        }
        let [document] = &of(r#"{"prompt": "Hi, ", "completion": "yes"}"#)[..] else { panic!("a row is a document") };
        assert_eq!((tokenizer.decode(&document.ids).as_str(), learned(&tokenizer, document)), ("Hi, yes", vec!["yes".to_owned()]));
    }

    #[test]
    fn rows_are_known_by_their_content() {
        let count = |file: &str, text: &str| match Content::of(file, text).unwrap() {
            Content::Rows(rows) => rows.count(),
            Content::Text(notice) => notice.unwrap_or_else(|| "one text".to_owned()),
        };
        let (row, text) = (TALK, r#"{"text": "one"}"#);
        for file in ["talks.jsonl", "talks.ndjson", "talks.jsonl.txt", "talks", "https://host/talks.jsonl?download=true"] {
            assert_eq!(count(file, &format!("\u{feff}{row}\n{row}\n{text}\n")), "2 conversations, 1 text", "{file}");
        }
        assert_eq!(count("talks.json", &format!("[\n{row},\n{text}\n]\n")), "1 conversation, 1 text");
        assert_eq!(count("talk.json", "{\n\"text\":\n\"one\"\n}"), "1 text");
        for text in ["", "Once upon a time", "{ braces }\n", "[1, 2]\n", "[section]\nkey = 1\n", "{\"a\": "] {
            assert_eq!(count("book.txt", text), "one text", "{text}");
        }
        assert!(count("log.txt", "{\"level\": 1, \"line\": \"a\"}\n").contains("the keys level, line"));
        let said = Content::of("alpaca.json", r#"[{"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"}]"#).unwrap_err();
        assert!(
            said.to_string().starts_with("alpaca.json, line 1: the keys are instruction, output; ")
                && said.to_string().contains("as a prompt")
        );
        // What breaks off is no text.
        for file in ["talks.json", "talks.txt"] {
            let said = Content::of(file, &format!("[\n{row},\n{}", &row[..20])).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{file}, line 3: the JSON is broken")), "{said}");
        }
        assert!(count("words.json", r#"["a", "b"]"#).contains("without an object"));
        let said = Content::of("talks.txt", &format!("{row}\n{{\"message\": 1}}\n")).unwrap_err().to_string();
        assert!(said.starts_with("talks.txt, line 2: the keys are message"), "{said}");
    }

    #[test]
    fn tools_and_arguments_may_be_json_text() {
        let tokenizer = Tokenizer::bytes();
        let written = |template: &ChatTemplate, tools: &str, arguments: &str| {
            let row = format!(
                r#"{{"tools": {tools}, "messages": [{{"role": "user", "content": "t?"}}, {{"role": "assistant", "tool_calls": [{{"type": "function", "function": {{"name": "f", "arguments": {arguments}}}}}]}}]}}"#
            );
            tokenizer.decode(&rows(&row).documents(&tokenizer, template, 0).unwrap()[0].ids)
        };
        let calls = "{% for t in tools %}{{ t | tojson }}{% endfor %}{% for m in messages %}{% generation %}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{% endgeneration %}{% endfor %}";
        let plain = template(calls);
        let (list, arguments) = (r#"[{"name": "f", "a": {}}]"#, r#"{"y": 1, "x": [2]}"#);
        let text = |json: &str| serde_json::to_string(json).unwrap();
        let expected = r#"{"name": "f", "a": {}}{"name": "f", "arguments": {"y": 1, "x": [2]}}"#;
        for (tools, arguments) in [(list.to_owned(), arguments.to_owned()), (text(list), text(arguments))] {
            assert_eq!(written(&plain, &tools, &arguments), expected);
        }
        // A template that tells texts from values gets what is there.
        let told = template(&format!("{calls}{{% if arguments is string %}}{{% endif %}}"));
        assert!(written(&told, list, &text(arguments)).ends_with(r#""arguments": "{\"y\": 1, \"x\": [2]}"}"#));
        assert_eq!(written(&plain, "\"\"", "{}"), r#"{"name": "f", "arguments": {}}"#);
    }

    fn own_with_template(tokenizer: &Tokenizer, template: &str) -> Tokenizer {
        let files = crate::text::TokenizerFiles { chat_template: Some(template.as_bytes().to_vec()), ..tokenizer.files().clone() };
        Tokenizer::from_files(files, 400).unwrap()
    }

    #[test]
    fn the_template_that_was_used_is_saved_with_the_end_of_its_replies() {
        let vocabulary = |model_type| train_vocabulary([include_str!("conversation.rs")].into_iter(), 400, model_type).unwrap();
        let without_template = |tokenizer: &Tokenizer| {
            let files = crate::text::TokenizerFiles { tokenizer: tokenizer.files().tokenizer.clone(), ..Default::default() };
            Tokenizer::from_files(files, 400).unwrap()
        };
        // A model of the Llama family with the markers of ChatML.
        let chatml = without_template(&vocabulary(ModelType::Qwen3));
        let EncodedRows { documents, tokenizer: chatml, notice } = rows(TALK).encode(chatml, ModelType::Llama, 0).unwrap();
        assert!(notice.is_none());
        assert!(chatml.files().chat_template.as_deref().unwrap().starts_with(b"{%- for message in messages %}"));
        assert_eq!(chatml.special_token_ids().eos, [chatml.token_id("<|im_end|>").unwrap()]);
        assert!(chatml.decode(&documents[0].ids).starts_with("<|im_start|>user\n"));
        let own = vocabulary(ModelType::Llama);
        let after = rows(TALK).encode(vocabulary(ModelType::Llama), ModelType::Llama, 0).unwrap();
        assert_eq!(after.tokenizer.files(), own.files());
        // Rows of text need no template, and get none.
        let plain = rows(r#"{"text": "a"}"#).encode(without_template(&own), ModelType::Llama, 0).unwrap();
        assert!(plain.tokenizer.files().chat_template.is_none());
        // Nor is a broken one read. One that prompts otherwise than it writes gets a notice.
        let with = |template: &str| own_with_template(&own, template);
        assert!(rows(r#"{"text": "a"}"#).encode(with("{% x"), ModelType::Llama, 0).is_ok());
        assert!(rows(TALK).encode(with("{% x"), ModelType::Llama, 0).is_err());
        let thinks = PLAIN.replace("assistant\\n' }}{% endif", "assistant\\n<think>' }}{% endif");
        assert_eq!(rows(TALK).encode(with(&thinks), ModelType::Llama, 0).unwrap().notice, Some(ASKS_OTHERWISE));
    }

    /// What is learned of the two answers of each row, and what precedes it.
    fn answers(rows: &Rows) -> Result<Vec<[(String, String); 2]>> {
        let tokenizer = train_vocabulary([include_str!("conversation.rs")].into_iter(), 400, ModelType::Llama).unwrap();
        let EncodedPairs { pairs, tokenizer, .. } = rows.encode_pairs(tokenizer, ModelType::Llama, 0)?;
        let parts = |document: &Document| {
            let start = document.assistant_mask.iter().position(|&learned| learned).unwrap();
            (tokenizer.decode(&document.ids[..start]), tokenizer.decode(&document.ids[start..]))
        };
        Ok(pairs.iter().map(|pair| pair.each_ref().map(parts)).collect())
    }

    #[test]
    fn answers_are_compared_after_one_prompt() {
        let pair = |prompt: &str, chosen: &str, rejected: &str| {
            [chosen, rejected].map(|answer| (prompt.to_owned(), format!("{answer}<|eot_id|>")))
        };
        let given = rows(r#"{"prompt": "Sun or rain?", "chosen": " Sun.", "rejected": " Snow."}"#);
        assert_eq!((given.count(), answers(&given).unwrap()), ("1 preference".to_owned(), vec![pair("Sun or rain?", " Sun.", " Snow.")]));
        // The space before the answers belongs to them.
        let implicit = rows(r#"{"chosen": "Sun or rain? Sun.", "rejected": "Sun or rain? Rain."}"#);
        assert_eq!(answers(&implicit).unwrap(), [pair("Sun or rain?", " Sun.", " Rain.")]);
        let user = r#"{"role": "user", "content": "Sun or rain?"}"#;
        let reply = |text: &str| format!(r#"{{"role": "assistant", "content": "{text}"}}"#);
        let lists = [
            format!(r#"{{"prompt": [{user}], "chosen": [{}], "rejected": [{}]}}"#, reply("Sun."), reply("Snow.")),
            format!(r#"{{"chosen": [{user}, {}], "rejected": [{user}, {}]}}"#, reply("Sun."), reply("Snow.")),
        ];
        let [explicit, implicit] = lists.map(|row| answers(&rows(&row)).unwrap());
        assert_eq!(explicit, implicit);
        assert!(explicit[0][0].1.starts_with("Sun.") && explicit[0][1].1.starts_with("Snow.") && explicit[0][0].0 == explicit[0][1].0);
    }

    #[test]
    fn rows_that_cannot_be_compared_say_why() {
        let read = |row: &str| Rows::read("f", row).unwrap_err().to_string();
        assert!(read(r#"{"chosen": "a", "rejected": "b"}"#).contains("begin unlike"));
        assert!(read(r#"{"prompt": "p", "chosen": [], "rejected": "b"}"#).contains("of one kind"));
        assert!(read(r#"{"prompt": "p", "chosen": "a"}"#).contains("\"chosen\" and \"rejected\""));
        let said = |row: &str| answers(&rows(row)).unwrap_err().to_string();
        assert!(said(r#"{"text": "a"}"#).contains("line 1: has no \"chosen\" and \"rejected\""));
        let tokenizer = Tokenizer::bytes();
        let one = rows(r#"{"prompt": "p", "chosen": "a", "rejected": "b"}"#);
        let refused = one.encode(tokenizer, ModelType::Llama, 0).err().unwrap().to_string();
        assert!(refused.contains("only the objective dpo"), "{refused}");
    }
}
