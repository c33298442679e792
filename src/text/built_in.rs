//! The built-in chat templates, for tokenizers without one of their own.

use super::tokenizer::Tokenizer;
use crate::model::ModelType;

/// A chat template with what it needs of a vocabulary.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BuiltIn {
    pub name: &'static str,
    pub template: &'static str,
    /// The special tokens that it writes, in the order of their ids in a vocabulary of ours.
    pub markers: &'static [&'static str],
    /// The start token of a conversation.
    pub start: Option<&'static str>,
    /// The end token of a reply.
    pub end: &'static str,
}

const CHATML: BuiltIn = BuiltIn {
    name: "ChatML",
    template: include_str!("templates/chatml.jinja"),
    markers: &["<|im_start|>", "<|im_end|>"],
    start: None,
    end: "<|im_end|>",
};
const LLAMA3: BuiltIn = BuiltIn {
    name: "Llama 3",
    template: include_str!("templates/llama3.jinja"),
    markers: &["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    start: Some("<|begin_of_text|>"),
    end: "<|eot_id|>",
};
const GEMMA: BuiltIn = BuiltIn {
    name: "Gemma",
    template: include_str!("templates/gemma.jinja"),
    markers: &["<bos>", "<start_of_turn>", "<end_of_turn>"],
    start: Some("<bos>"),
    end: "<end_of_turn>",
};
const MISTRAL: BuiltIn = BuiltIn {
    name: "Mistral",
    template: include_str!("templates/mistral.jinja"),
    markers: &["<s>", "</s>", "[INST]", "[/INST]"],
    start: Some("<s>"),
    end: "</s>",
};

impl BuiltIn {
    pub const ALL: [&'static BuiltIn; 4] = [&CHATML, &LLAMA3, &GEMMA, &MISTRAL];

    /// The template of a family's published models.
    pub fn of_family(model_type: ModelType) -> &'static BuiltIn {
        match model_type {
            ModelType::Llama => &LLAMA3,
            ModelType::Mistral => &MISTRAL,
            ModelType::Qwen2 | ModelType::Qwen3 => &CHATML,
            ModelType::Gemma3Text => &GEMMA,
        }
    }

    /// The template for a vocabulary: the first, from that of the family on, each of whose markers is one of its tokens. Bytes have no
    /// markers, and write those of the family letter by letter.
    pub fn of(tokenizer: &Tokenizer, model_type: ModelType) -> Option<&'static BuiltIn> {
        let family = Self::of_family(model_type);
        let knows = |built_in: &&BuiltIn| built_in.markers.iter().all(|marker| tokenizer.token_id(marker).is_some());
        [family].into_iter().chain(Self::ALL).find(|built_in| tokenizer.is_bytes() || knows(built_in))
    }
}
