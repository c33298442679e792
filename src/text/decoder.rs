//! Incremental decoding of token ids to text.

use std::collections::HashMap;

use tokenizers::DecoderWrapper;

use crate::model::tokenizer::byte_characters;

/// The bytes of a token.
pub(super) enum Vocabulary<'t> {
    /// Its id is the byte.
    Bytes,
    /// The `tokenizers` library decodes it.
    Library(&'t tokenizers::Tokenizer),
}

/// Decodes token ids to text incrementally. It holds back incomplete characters until they are complete or invalid.
pub struct Decoder<'t> {
    kind: Kind<'t>,
}

enum Kind<'t> {
    /// Tokens are sequences of bytes.
    Bytes { of_token: Box<dyn Fn(u32) -> Vec<u8> + 't>, pending: Vec<u8> },
    /// The text of a token depends on its neighbours.
    Text { tokenizer: &'t tokenizers::Tokenizer, before: Vec<u32>, pending: Vec<u32> },
}

/// The most tokens of a character: one for each of its bytes.
const CHARACTER_TOKENS: usize = 4;

impl<'t> Decoder<'t> {
    pub(super) fn new(vocabulary: Vocabulary<'t>, prompt: &[u32]) -> Self {
        let bytes = |of_token| Kind::Bytes { of_token, pending: Vec::new() };
        let kind = match vocabulary {
            Vocabulary::Bytes => bytes(Box::new(|id| u8::try_from(id).into_iter().collect())),
            Vocabulary::Library(tokenizer) if matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) => {
                let byte_of: HashMap<char, u8> = byte_characters().into_iter().zip(0..=u8::MAX).collect();
                bytes(Box::new(move |id| {
                    let token = tokenizer.id_to_token(id).unwrap_or_default();
                    // Added tokens may have characters that stand for no byte. They stand for themselves.
                    let bytes: Option<Vec<u8>> = token.chars().map(|c| byte_of.get(&c).copied()).collect();
                    bytes.unwrap_or(token.into_bytes())
                }))
            }
            Vocabulary::Library(tokenizer) => Kind::Text { tokenizer, before: prompt.to_vec(), pending: Vec::new() },
        };
        Decoder { kind }
    }

    /// The text that is complete after the next token.
    pub fn push(&mut self, id: u32) -> String {
        match &mut self.kind {
            Kind::Bytes { of_token, pending } => {
                pending.extend(of_token(id));
                whole_characters(pending)
            }
            Kind::Text { tokenizer, before, pending } => {
                pending.push(id);
                let text = behind(tokenizer, before, pending);
                if text.ends_with(char::REPLACEMENT_CHARACTER) && pending.len() < CHARACTER_TOKENS {
                    return String::new();
                }
                let known = pending.drain(..).filter(|&id| tokenizer.id_to_token(id).is_some());
                // A token without a text leaves its neighbours what they are.
                match text.is_empty() {
                    true => before.extend(known),
                    false => *before = known.collect(),
                }
                text
            }
        }
    }

    /// The text that was held back, at the end of the tokens.
    pub fn finish(self) -> String {
        match self.kind {
            Kind::Bytes { pending, .. } => String::from_utf8_lossy(&pending).into_owned(),
            Kind::Text { tokenizer, before, pending } => behind(tokenizer, &before, &pending),
        }
    }
}

/// Cuts incremental text at a stop sequence. It holds back text that may be the start of the stop sequence.
pub struct StopSequence {
    end: String,
    pending: String,
    is_over: bool,
}

impl StopSequence {
    /// Stops at `end`, or never if that is empty.
    pub fn new(end: String) -> Self {
        StopSequence { end, pending: String::new(), is_over: false }
    }

    /// Was the stop sequence found?
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The text that can be shown after `text` has been added.
    pub fn push(&mut self, text: &str) -> String {
        if self.is_over {
            return String::new();
        }
        self.pending += text;
        if let Some(at) = self.pending.find(&self.end).filter(|_| !self.end.is_empty()) {
            self.is_over = true;
            return std::mem::take(&mut self.pending)[..at].to_owned();
        }
        let may_be_end = |at: &usize| self.end.starts_with(&self.pending[*at..]);
        let at = self.pending.char_indices().map(|(at, _)| at).find(may_be_end).unwrap_or(self.pending.len());
        let pending = self.pending.split_off(at);
        std::mem::replace(&mut self.pending, pending)
    }

    /// The text that was held back, at the end of the input.
    pub fn finish(self) -> String {
        self.pending
    }
}

/// Removes the bytes of complete or invalid characters from the front, and returns their text.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let end = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let whole = bytes.len() - if may_go_on(end) { end.len() } else { 0 };
    let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
    bytes.drain(..whole);
    text
}

/// Are these bytes the incomplete start of a character?
fn may_go_on(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

/// The text that tokens add to the text of those before them.
fn behind(tokenizer: &tokenizers::Tokenizer, before: &[u32], ids: &[u32]) -> String {
    // No decoder that the library reads from a file fails.
    let text = |ids: &[u32]| tokenizer.decode(ids, false).unwrap_or_default();
    let (shown, all) = (text(before), text(&[before, ids].concat()));
    let same = shown.chars().zip(all.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>();
    all[same..].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::text::samples::{from_json, unigram};

    fn pushed(bytes: &[u8]) -> Vec<String> {
        let mut decoder = Decoder::new(Vocabulary::Bytes, &[]);
        let mut texts: Vec<String> = bytes.iter().map(|&byte| decoder.push(byte.into())).collect();
        texts.push(decoder.finish());
        texts
    }

    #[test]
    fn a_character_comes_when_it_is_whole() {
        assert_eq!(pushed("aé€😀".as_bytes()), ["a", "", "é", "", "", "€", "", "", "", "😀", ""]);
    }

    #[test]
    fn what_can_be_no_character_any_more_is_replaced_and_nothing_behind_it_is_lost() {
        assert_eq!(pushed(b"\xffa"), ["\u{fffd}", "a", ""]);
        assert_eq!(pushed(b"\xe2\x82a"), ["", "", "\u{fffd}a", ""]);
        assert_eq!(pushed(b"\xe2\xc3\xa9"), ["", "\u{fffd}", "é", ""]);
        assert_eq!(pushed(b"\xe2\x82"), ["", "", "\u{fffd}"]);
        let every: Vec<u8> = (0..=u8::MAX).cycle().step_by(7).take(2000).collect();
        assert_eq!(pushed(&every).concat(), String::from_utf8_lossy(&every));
    }

    #[test]
    fn text_is_shown_up_to_its_end_and_not_a_part_of_that() {
        let shown = |end: &str, parts: &[&str]| {
            let mut until = StopSequence::new(end.to_owned());
            let mut shown: Vec<String> = parts.iter().map(|part| until.push(part)).collect();
            shown.push(until.is_over().to_string());
            shown.push(until.finish());
            shown
        };
        assert_eq!(shown("</s>", &["a<", "/s", "x</", "s", ">b", "c"]), ["a", "", "</sx", "", "", "", "true", ""]);
        assert_eq!(shown("<<>", &["<", "<", "<", ">"]), ["", "", "<", "", "true", ""]);
        assert_eq!(shown("é!", &["aé"]), ["a", "false", "é"]);
        assert_eq!(shown("", &["a", "b"]), ["a", "b", "false", ""]);
    }

    #[test]
    fn what_follows_a_prompt_is_its_continuation() {
        let tokenizer = from_json(&unigram(), Value::Null, 300).unwrap();
        let ids = tokenizer.encode("hello world world").unwrap();
        let mut decoder = tokenizer.decoder(&ids[..1]);
        assert_eq!([decoder.push(ids[1]), decoder.push(ids[2])], [" world", " world"]);
        // Ids that are no tokens leave no trace.
        let mut decoder = tokenizer.decoder(&ids[..1]);
        assert_eq!([299, ids[1], 299, ids[2]].map(|id| decoder.push(id)), ["", " world", "", " world"]);
    }
}
