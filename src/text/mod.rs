//! Texts and conversations as token ids.
//!
//! ```text
//! tokenizer.json, or bytes ─▶ Tokenizer ──┐
//! chat template ────────────▶ ChatTemplate ┼─▶ Document: token ids and assistant mask
//! text, or rows of JSON ──────────────────┘
//! ```
//!
//! A page that trains on bytes must not load this code, so whatever it uses may refer only to [`Document`], [`Prompt`] and
//! [`is_named_as_rows`].

mod built_in;
mod conversation;
mod decoder;
mod document;
mod jinja_compat;
mod json_rows;
mod pieces;
mod prompt;
mod prompt_rows;
mod replies;
mod row;
mod rows;
#[cfg(test)]
mod samples;
mod special_tokens;
mod template;
mod tokenizer;
mod tokenizer_files;
mod validate;
mod vocabulary;

pub use conversation::{Conversation, Message};
pub use decoder::{Decoder, StopSequence};
pub use document::Document;
pub use json_rows::is_named_as_rows;
pub use prompt::Prompt;
pub use prompt_rows::{EncodedPrompts, PromptRows};
pub use row::Row;
pub use rows::{Content, EncodedPairs, EncodedRows, Rows, without_mark};
pub use template::{ChatTemplate, Rendered};
pub use tokenizer::Tokenizer;
pub use tokenizer_files::TokenizerFiles;
pub use vocabulary::train_vocabulary;
