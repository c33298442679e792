//! Texts and conversations as token ids.
//!
//! ```text
//! tokenizer.json, or bytes ─▶ Tokenizer ──┐
//! chat template ────────────▶ ChatTemplate ┼─▶ Document: ids, and which of them are to be learned
//! text or JSON lines ─────────────────────┘
//! ```
//!
//! A page that trains on bytes needs none of this, and is to load none of it: nothing that it uses may refer to more than
//! [`Document`].

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
