//! Texts and conversations as token ids.
//!
//! ```text
//! tokenizer.json, or bytes ─▶ Tokenizer ──┐
//! chat template ────────────▶ ChatTemplate ┼─▶ Document: token ids and assistant mask
//! text or JSON lines ─────────────────────┘
//! ```
//!
//! A page that trains on bytes must not load this code, so whatever it uses may refer only to [`Document`].

mod conversation;
mod decoder;
mod document;
mod jinja_compat;
mod rows;
mod template;
mod tokenizer;
mod validate;
mod vocabulary;

pub use conversation::{Conversation, Message};
pub use decoder::{Decoder, StopSequence};
pub use document::Document;
pub use rows::{Row, Rows};
pub use template::{ChatTemplate, Rendered};
pub use tokenizer::{Tokenizer, TokenizerFiles};
pub use vocabulary::train_vocabulary;
