//! Documents of conversations, texts and completions, and which of their tokens are trained on.

use std::ops::Range;
use std::slice;

use super::conversation::{Conversation, Message};
use super::document::Document;
use super::template::{ChatTemplate, Rendered, has_marks};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

impl Document {
    /// Encodes a text with its end token. All of its tokens are trained on.
    pub(super) fn of_text(tokenizer: &Tokenizer, text: &str) -> Result<Self> {
        let ids = tokenizer.encode(text)?;
        let tokens = ids.into_iter().map(|id| (id, true)).collect();
        Ok(Self::with_ends(tokenizer, text, tokens, true))
    }

    /// Encodes a prompt and its completion, which alone is trained on, with its end token.
    pub(super) fn of_completion(tokenizer: &Tokenizer, prompt: &str, completion: &str) -> Result<Self> {
        let text = [prompt, completion].concat();
        let tokens = marked(tokenizer, &text, slice::from_ref(&(prompt.len()..text.len())))?;
        Ok(Self::with_ends(tokenizer, &text, tokens, !completion.is_empty()))
    }

    /// Adds the special tokens around a text, and the one that ends it, unless they are written there.
    fn with_ends(tokenizer: &Tokenizer, text: &str, tokens: Vec<(u32, bool)>, learns_end: bool) -> Self {
        let ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
        let [before, behind] = tokenizer.around(text, &ids);
        let is_ended = tokenizer.is_ended(text) || behind.last().is_some_and(|last| tokenizer.special_token_ids().eos.contains(last));
        let end = tokenizer.end_of_text().filter(|_| !is_ended);
        let learns_start = tokens.first().is_none_or(|(_, is_learned)| *is_learned);
        let ends = behind.iter().copied().chain(end).map(|id| (id, learns_end));
        let all = before.iter().map(|&id| (id, learns_start)).chain(tokens).chain(ends);
        let (ids, assistant_mask) = all.unzip();
        Document { ids, assistant_mask }
    }

    /// Encodes a text of which only some ranges of bytes are trained on: every token that overlaps one of them.
    fn of_parts(tokenizer: &Tokenizer, text: &str, parts: &[Range<usize>]) -> Result<Self> {
        let (ids, assistant_mask) = marked(tokenizer, text, parts)?.into_iter().unzip();
        Ok(Document { ids, assistant_mask })
    }
}

/// The tokens of a text, and whether each overlaps one of those ranges of bytes.
fn marked(tokenizer: &Tokenizer, text: &str, parts: &[Range<usize>]) -> Result<Vec<(u32, bool)>> {
    let is_learned = |place: &Range<usize>| {
        let next = parts.partition_point(|part| part.end <= place.start);
        parts.get(next).is_some_and(|part| part.start < place.end.max(place.start + 1))
    };
    Ok(tokenizer.encode_with_places(text)?.into_iter().map(|(id, place)| (id, is_learned(&place))).collect())
}

/// The text up to and including a reply, and the range of bytes of the reply.
struct Reply {
    text: String,
    part: Range<usize>,
}

impl ChatTemplate {
    /// Encodes a conversation, whose assistant replies are trained on, unless they say that they are not.
    ///
    /// If the template does not mark replies with `{% generation %}`, a reply is what the rendered text has behind the text that asks for
    /// it (the generation prompt); the end token of the reply belongs to it. Some templates render a reply or what precedes it differently
    /// once more messages follow, for example without its thinking. Then each reply becomes a document of its own, behind the earlier
    /// messages as the template renders them when it asks for the reply. A reply that nothing precedes is context.
    ///
    /// # Errors
    /// [`Error::Data`] if the template cannot render the conversation, or a reply cannot be told from the text before it.
    pub fn documents(&self, tokenizer: &Tokenizer, conversation: &Conversation, now: u64) -> Result<Vec<Document>> {
        let messages = &conversation.messages;
        let contents = messages.iter().filter_map(|message| message.content.as_deref());
        if contents.into_iter().any(has_marks) {
            return Err(Error::Data("a message has one of the characters U+FDD0 and U+FDD1, which are no text".to_owned()));
        }
        let whole = self.render(conversation, messages, false, now)?;
        if self.marks_replies() {
            let parts = trained_parts(messages, &whole)?;
            return Ok(vec![Document::of_parts(tokenizer, &whole.text, &parts)?]);
        }
        let mut replies = Vec::new();
        for i in (0..messages.len()).filter(|&i| messages[i].is_trained()) {
            replies.extend(self.reply(conversation, i, now)?);
        }
        if replies.iter().all(|reply| whole.text.starts_with(&reply.text)) {
            let parts: Vec<Range<usize>> = replies.into_iter().map(|reply| reply.part).collect();
            return Ok(vec![Document::of_parts(tokenizer, &whole.text, &parts)?]);
        }
        replies.into_iter().map(|reply| Document::of_parts(tokenizer, &reply.text, &[reply.part])).collect()
    }

    /// Reply `i`. `None` if nothing asks for it.
    fn reply(&self, conversation: &Conversation, i: usize, now: u64) -> Result<Option<Reply>> {
        let messages = &conversation.messages;
        let (before, is_asked) = (&messages[..i], messages[..i].iter().any(|message| message.role == "user"));
        // Many templates look at the first message, or need one from the user.
        if before.is_empty() {
            return Ok(None);
        }
        let asked = match self.render(conversation, before, true, now) {
            Err(_) if !is_asked => return Ok(None),
            asked => asked?.text,
        };
        let answered = self.render(conversation, &messages[..=i], false, now)?.text;
        if answered.starts_with(&asked) {
            return Ok(Some(Reply { part: asked.len()..answered.len(), text: answered }));
        }
        let unasked = self.render(conversation, before, false, now)?.text;
        let head = &answered[..self.head(conversation, i, &answered, now)];
        if answered.starts_with(&unasked) {
            // The generation prompt begins the reply in its own way, say with its thinking.
            let start = common(&asked, head);
            return Ok(Some(Reply { part: start..answered.len(), text: answered }));
        }
        // What precedes the reply is written otherwise once it is there. The reply follows what still is the same.
        let last = before.last().and_then(|message| message.content.as_deref()).unwrap_or_default().trim();
        let joined = [asked.as_str(), &unasked].into_iter().find_map(|prompt| {
            let (same, end) = last_in_common(prompt, head);
            let reaches_back = same.contains(last) && (prompt == unasked || same.len() > asked.len().saturating_sub(unasked.len()));
            (!same.trim().is_empty() && reaches_back).then(|| (prompt, [prompt, &answered[end..]].concat()))
        });
        match joined {
            Some((prompt, text)) => Ok(Some(Reply { part: prompt.len()..text.len(), text })),
            None => Err(Error::Data(format!(
                "the chat template writes what comes before message {} otherwise once that is there, so the reply cannot be told from it; take a template that marks replies with {{% generation %}}",
                i + 1
            ))),
        }
    }

    /// The length of what stands before the content of reply `i` in the text with it: what stays the same if the content is another.
    fn head(&self, conversation: &Conversation, i: usize, answered: &str, now: u64) -> usize {
        let mut messages = conversation.messages[..=i].to_vec();
        messages[i] = messages[i].with_content(ANOTHER);
        let another = self.render(conversation, &messages, false, now);
        another.map_or(answered.len(), |another| common(&another.text, answered))
    }
}

/// The content of another reply. No reply starts with this noncharacter.
const ANOTHER: &str = "\u{fdd2}";

/// The parts of a text that the template marks as replies, without those that are not trained on.
fn trained_parts(messages: &[Message], whole: &Rendered) -> Result<Vec<Range<usize>>> {
    if whole.replies.iter().all(Range::is_empty) {
        return Err(Error::Data("the chat template marks nothing of the conversation as the assistant's".to_owned()));
    }
    let replies: Vec<&Message> = messages.iter().filter(|message| message.is_reply()).collect();
    if replies.iter().all(|reply| reply.is_trained()) {
        return Ok(whole.replies.clone());
    }
    if replies.len() != whole.replies.len() {
        return Err(Error::Data(format!(
            "the chat template marks {} parts of {} replies, so none of them can be left out of training; leave out their weights",
            whole.replies.len(),
            replies.len()
        )));
    }
    Ok(replies.iter().zip(&whole.replies).filter(|(reply, _)| reply.is_trained()).map(|(_, part)| part.clone()).collect())
}

/// The length of the longest common beginning of two texts.
fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// The longest end of `prompt` that occurs in `head`, and where its last occurrence ends.
fn last_in_common<'p>(prompt: &'p str, head: &str) -> (&'p str, usize) {
    let starts: Vec<usize> = prompt.char_indices().map(|(at, _)| at).collect();
    // Every end of an end that occurs does, too.
    let first = starts.partition_point(|&at| !head.contains(&prompt[at..]));
    let same = starts.get(first).map_or("", |&at| &prompt[at..]);
    (same, head.rfind(same).map_or(0, |at| at + same.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelType;
    use crate::text::samples::{FORGETFUL, PLAIN, TALK, learned, rows, template};
    use crate::text::train_vocabulary;

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
    fn a_message_says_itself_whether_it_is_trained_on() {
        let talk = |first: &str, second: &str| {
            format!(
                r#"{{"messages": [{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": "b"{first}}}, {{"role": "user", "content": "c", "weight": 0}}, {{"role": "assistant", "content": "d"{second}}}]}}"#
            )
        };
        let tokenizer = Tokenizer::bytes();
        let family = ChatTemplate::of(&tokenizer, ModelType::Qwen3).unwrap();
        for template in [template(PLAIN), family] {
            let parts = |first: &str, second: &str| {
                let documents = rows(&talk(first, second)).documents(&tokenizer, &template, 0).unwrap();
                let parts = documents.iter().flat_map(|document| learned(&tokenizer, document));
                parts.map(|part| part.trim().to_owned()).collect::<Vec<String>>()
            };
            assert_eq!(parts(r#", "weight": 0"#, ""), ["d<|im_end|>"]);
            assert_eq!(parts(r#", "train": false"#, r#", "weight": 1, "train": true"#), ["d<|im_end|>"]);
            assert_eq!(parts("", r#", "weight": 1, "train": false"#), ["b<|im_end|>"]);
            assert!(parts(r#", "weight": 0"#, r#", "weight": 0"#).is_empty());
        }
    }

    /// What tokenizers of published models have as templates.
    #[test]
    fn replies_are_told_from_their_prompts_in_templates_of_many_kinds() {
        let tokenizer = Tokenizer::bytes();
        let found = |source: &str, talk: &str| {
            let documents = rows(talk).documents(&tokenizer, &template(source), 0).unwrap();
            documents.iter().map(|document| (tokenizer.decode(&document.ids), learned(&tokenizer, document))).collect::<Vec<_>>()
        };
        let talk = |first: &str, answer: &str| {
            format!(r#"{{"messages": [{first}{{"role": "user", "content": "Hi"}}, {{"role": "assistant", "content": "{answer}"}}]}}"#)
        };
        // The prompt ends inside the reply.
        let thinks = "{{ '<b>' }}{% for m in messages %}{% if m.role == 'user' %}{{ '<U>' + m.content }}{% else %}{% set c = m.content %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}{{ '<A>' + c + '<e>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<A><think>\n' }}{% endif %}";
        for answer in ["Yes.", "<think>\\nhm\\n</think>Yes."] {
            assert_eq!(found(thinks, &talk("", answer)), [("<b><U>Hi<A>Yes.<e>".to_owned(), vec!["Yes.<e>".to_owned()])]);
        }
        // A reply may begin as the prompt goes on.
        assert_eq!(found(thinks, &talk("", "<thanks>"))[0].1, ["<thanks><e>"]);
        // The system text stands in the last question only.
        let moves = "{{ '<s>' }}{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if m.role == 'user' %}{% if loop.last and sys is defined %}{{ '[I] ' + sys + '\n\n' + m.content + '[/I]' }}{% else %}{{ '[I] ' + m.content + '[/I]' }}{% endif %}{% elif m.role == 'assistant' %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}";
        let system = r#"{"role": "system", "content": "Be brief."}, "#;
        assert_eq!(found(moves, &talk(system, "Yes.")), [("<s>[I] Be brief.\n\nHi[/I] Yes.</s>".to_owned(), vec![" Yes.</s>".to_owned()])]);
        assert_eq!(
            found(
                moves,
                &talk(
                    r#"{"role": "system", "content": "S"}, {"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}, "#,
                    "C"
                )
            ),
            [
                ("<s>[I] S\n\nA[/I] B</s>".to_owned(), vec![" B</s>".to_owned()]),
                ("<s>[I] A[/I] B</s>[I] S\n\nHi[/I] C</s>".to_owned(), vec![" C</s>".to_owned()]),
            ]
        );
        // Nothing asks for the first message, and a template may need a question.
        let welcome = r#"{"role": "assistant", "content": "Welcome!"}, "#;
        let first = format!("{{% if messages[0].role == 'system' %}}{{% endif %}}{PLAIN}");
        assert_eq!(found(&first, &talk(welcome, "Yes."))[0].1, ["Yes.<|im_end|>\n"]);
        let needy = format!(
            "{{% if messages | selectattr('role', 'equalto', 'user') | list | length == 0 %}}{{{{ raise_exception('ask') }}}}{{% endif %}}{PLAIN}"
        );
        let reply_first = format!("{system}{welcome}");
        assert_eq!(found(&needy, &talk(&reply_first, "Yes."))[0].1, ["Yes.<|im_end|>\n"]);
    }

    #[test]
    fn texts_that_are_rendered_get_no_second_start_or_end() {
        let vocabulary = train_vocabulary([include_str!("conversation.rs")].into_iter(), 400, ModelType::Llama).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&vocabulary.files().tokenizer).unwrap();
        json["post_processor"] = serde_json::json!({
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<|begin_of_text|>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
            "pair": [],
            "special_tokens": { "<|begin_of_text|>": { "id": "<|begin_of_text|>", "ids": [0], "tokens": ["<|begin_of_text|>"] } },
        });
        let files = crate::text::TokenizerFiles { tokenizer: serde_json::to_vec(&json).unwrap(), ..vocabulary.files().clone() };
        let tokenizer = Tokenizer::from_files(files, 400).unwrap();
        let rendered = "<|begin_of_text|>user<|eot_id|>Yes.<|eot_id|>\n";
        let of = |row: &serde_json::Value| {
            let documents = rows(&row.to_string()).documents(&tokenizer, &template(PLAIN), 0).unwrap();
            documents.into_iter().next().unwrap().ids
        };
        assert_eq!(of(&serde_json::json!({ "text": rendered })), tokenizer.encode(rendered).unwrap());
        let plain = [&[0], &tokenizer.encode("Yes.").unwrap()[..], &[3]].concat();
        assert_eq!(of(&serde_json::json!({ "text": "Yes." })), plain);
        assert_eq!(of(&serde_json::json!({ "prompt": "<|begin_of_text|>Ye", "completion": "s.<|eot_id|>" })), plain);
    }
}
