//! Prompts of tasks.

use crate::text::Prompt;

/// The token that ends a completion of a task: the end of a line.
pub const END: u32 = b'\n' as u32;

/// The prompt of these bytes, whose right completion is `answer` and the end. Its columns show both as text, as far as they are UTF-8.
pub(super) fn prompt(ids: Vec<u32>, answer: &[u32]) -> Prompt {
    let columns = [("prompt", &ids[..]), ("answer", answer)].map(|(name, ids)| (name.to_owned(), text(ids).into()));
    Prompt { ids, columns: columns.into_iter().collect(), answer: Some(answer.iter().copied().chain([END]).collect()) }
}

/// Token ids that are bytes as text. What is no UTF-8 becomes replacement characters.
pub(in crate::train) fn text(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().map(|&id| u8::try_from(id).unwrap_or(b'?')).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
