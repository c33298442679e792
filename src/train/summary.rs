//! What data came to, for whoever gave it.

use crate::text::Document;

/// What data came to, and what is lost of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Documents; a text is one.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Tokens that count in the loss.
    pub labels: u64,
    /// Documents that are longer than a sequence and therefore cut.
    pub cut: u64,
    /// Documents without labels, which are left out.
    pub without_labels: u64,
    /// Prompts that are longer than one may be, which are left out.
    #[serde(default)]
    pub too_long: u64,
}

impl Summary {
    /// What documents come to in sequences of `seq_len` tokens.
    pub fn of(documents: &[Document], seq_len: u32) -> Self {
        let mut summary = Summary::default();
        for document in documents {
            let labels = document.assistant_mask.iter().skip(1).filter(|&&is_label| is_label).count() as u64;
            summary.documents += 1;
            summary.tokens += document.ids.len() as u64;
            summary.labels += labels;
            summary.without_labels += u64::from(labels == 0);
            // The last token is only a label.
            summary.cut += u64::from(labels > 0 && document.ids.len() > seq_len as usize + 1);
        }
        summary
    }

    /// That of one text, of which every token but the first is a label.
    pub fn of_text(tokens: u64) -> Self {
        Summary { documents: 1, tokens, labels: tokens.saturating_sub(1), ..Summary::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_and_what_has_no_labels_is_counted() {
        let document = |tokens: usize, learned: bool| Document { ids: vec![1; tokens], assistant_mask: vec![learned; tokens] };
        let documents = [document(9, true), document(10, true), document(20, false), document(1, true)];
        assert_eq!(Summary::of(&documents, 8), Summary { documents: 4, tokens: 40, labels: 17, cut: 1, without_labels: 2, too_long: 0 });
        assert_eq!(Summary::of_text(5).labels, 4);
    }
}
