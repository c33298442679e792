//! Texts and conversations as token ids.

mod document;

pub use document::Document;
