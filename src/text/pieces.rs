//! Long texts are encoded in pieces, because the library's time grows faster than the text. Each piece is encoded within some of the text
//! around it, so that it is never taken for the start or the end of a text.

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;

use tokenizers::tokenizer::normalizer::Range as Place;
use tokenizers::{
    Model, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Token, Tokenizer,
};

/// The approximate size of a piece in bytes.
const PIECE_BYTES: usize = 1 << 16;
/// The text around a piece with which it is encoded, in bytes.
const AROUND_BYTES: usize = 64;

/// Where the texts of a tokenizer may be cut, so that the tokens are those of the whole text.
pub(super) enum Cuts {
    /// Between words and lines: the tokenizer splits a text there.
    BetweenWords,
    /// Between two characters that no token has next to each other: a text is one word for this tokenizer, as for SentencePiece.
    BetweenTokens(HashSet<(char, char)>),
    /// Nowhere.
    Never,
}

impl Cuts {
    pub fn of(tokenizer: &Tokenizer) -> Self {
        if splits_words(tokenizer) {
            return Cuts::BetweenWords;
        }
        match tokenizer.get_model() {
            ModelWrapper::BPE(_) | ModelWrapper::Unigram(_) => {
                let pairs = |token: String| token.chars().zip(token.chars().skip(1)).collect::<Vec<(char, char)>>();
                Cuts::BetweenTokens(tokenizer.get_vocab(true).into_keys().flat_map(pairs).collect())
            }
            // The token at a place depends on where the word begins.
            ModelWrapper::WordPiece(_) | ModelWrapper::WordLevel(_) => Cuts::Never,
        }
    }

    /// The ranges of bytes of the pieces of a text.
    pub fn pieces(&self, tokenizer: &Tokenizer, text: &str) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let len = match self {
                Cuts::BetweenWords => between_words(rest),
                Cuts::BetweenTokens(pairs) => between_tokens(rest, |before, behind| may_be_one_token(tokenizer, pairs, before, behind)),
                Cuts::Never => rest.len(),
            };
            pieces.push(start..start + len);
            start += len;
        }
        pieces
    }
}

/// A piece, and the text around it. Returns the range of bytes of both.
pub(super) fn around(text: &str, piece: &Range<usize>) -> Range<usize> {
    let mut start = piece.start.saturating_sub(AROUND_BYTES);
    let mut end = (piece.end + AROUND_BYTES).min(text.len());
    while !text.is_char_boundary(start) {
        start += 1;
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    start..end
}

/// Splits a text into pieces for training a vocabulary of words.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at(between_words(rest));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Does a tokenizer split a text before a space and behind a line?
fn splits_words(tokenizer: &Tokenizer) -> bool {
    let (text, [before_space, behind_line]) = ("word word\nword", [4, 10]);
    let Some(words) = words(tokenizer, text) else { return false };
    let words = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
    let is_split = |at: usize| words.iter().all(|(_, (start, end), _)| *end <= at || at <= *start);
    is_split(before_space) && is_split(behind_line)
}

/// A text as the model gets it: normalized and split. `None` if the tokenizer fails.
fn words(tokenizer: &Tokenizer, text: &str) -> Option<PreTokenizedString> {
    let mut text = NormalizedString::from(text);
    tokenizer.get_normalizer().map_or(Ok(()), |normalizer| normalizer.normalize(&mut text)).ok()?;
    let mut words = PreTokenizedString::from(text);
    tokenizer.get_pre_tokenizer().map_or(Ok(()), |part| part.pre_tokenize(&mut words)).ok()?;
    Some(words)
}

/// The end of the first piece of a text, in bytes: between lines without spaces at the boundary, where no pre-tokenizer merges, and in lines
/// longer than a piece before a space between words.
fn between_words(text: &str) -> usize {
    if text.len() <= 2 * PIECE_BYTES {
        return text.len();
    }
    let touches = |before: &str, behind: &str| before.ends_with(char::is_whitespace) || behind.starts_with(char::is_whitespace);
    let places = || (PIECE_BYTES..2 * PIECE_BYTES).filter(|&at| text.is_char_boundary(at));
    let line_end = places().find(|&at| text[..at].ends_with('\n') && !touches(&text[..at - 1], &text[at..]));
    let word_end = || places().find(|&at| text[at..].starts_with(' ') && !touches(&text[..at], &text[at + 1..]));
    line_end.or_else(word_end).unwrap_or_else(|| places().next_back().expect("a character has four bytes at most"))
}

/// The end of the first piece of a text, in bytes: the first place behind a piece's size at which no token can lie across.
fn between_tokens(text: &str, may_be_one: impl Fn(char, char) -> bool) -> usize {
    if text.len() <= 2 * PIECE_BYTES {
        return text.len();
    }
    let mut before = None;
    for (at, behind) in text.char_indices().skip_while(|(at, _)| *at < PIECE_BYTES) {
        // Two characters of which one may vanish or stand for both are no place to cut.
        let is_plain = |c: char| c.is_alphanumeric() || c == ' ';
        if let Some(before) = before.filter(|&before| is_plain(before) && is_plain(behind) && (before, behind) != (' ', ' '))
            && !may_be_one(before, behind)
        {
            return at;
        }
        before = Some(behind);
    }
    text.len()
}

/// May two characters that follow each other be in one token?
fn may_be_one_token(tokenizer: &Tokenizer, pairs: &HashSet<(char, char)>, before: char, behind: char) -> bool {
    let text = format!("{before}{behind}");
    let Some(mut words) = words(tokenizer, &text) else { return true };
    let may_be = Cell::new(false);
    let looked = words.tokenize(|word| {
        if word.get_original() == text {
            let behind = word.convert_offsets(Place::Original(before.len_utf8()..text.len()));
            may_be.set(behind.is_none_or(|at| is_crossed(tokenizer, pairs, word.get(), at.start)));
        }
        Ok(Vec::<Token>::new())
    });
    may_be.get() || looked.is_err()
}

/// Does a token cross that place in a word of two characters? Either some token has both, or they are unknown and together one token.
fn is_crossed(tokenizer: &Tokenizer, pairs: &HashSet<(char, char)>, word: &str, at: usize) -> bool {
    let parts = word.split_at_checked(at);
    let pair = parts.and_then(|(before, behind)| before.chars().next_back().zip(behind.chars().next()));
    let crosses = |token: &Token| (token.offsets.0 + 1..token.offsets.1).contains(&at);
    pair.is_none_or(|pair| pairs.contains(&pair)) || tokenizer.get_model().tokenize(word).is_ok_and(|tokens| tokens.iter().any(crosses))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces are where a whole text is split, whatever lies between.
    #[test]
    fn pieces_follow_each_other_and_have_text_around() {
        let text = "é one two\n".repeat(30_000);
        let pieces: Vec<&str> = pieces(&text).collect();
        assert!(pieces.len() > 2 && pieces.concat() == text);
        assert!(pieces.iter().all(|piece| piece.len() <= 2 * PIECE_BYTES && piece.ends_with('\n')));
        let piece = pieces[0].len()..pieces[0].len() + pieces[1].len();
        let wide = around(&text, &piece);
        assert!(wide.start < piece.start && wide.end > piece.end && !text[wide].is_empty());
        assert_eq!(around("éé", &(2..2)), 0..4);
        assert_eq!(between_tokens(&text, |_, _| true), text.len());
        assert!(text[between_tokens(&text, |_, behind| behind != ' ')..].starts_with(' '));
    }
}
