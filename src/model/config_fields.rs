//! The fields that a `config.json` may have. The list is closed, so that nothing in a file is passed over unread.

use serde_json::Value;

use super::json_fields::{Fields, is_empty, shortened};
use crate::error::{Error, Result};

/// Fields that some family reads. As in `transformers`, they mean nothing in a family that does not read them.
#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "hidden_act", "hidden_activation", "rms_norm_eps", "attention_bias", "mlp_bias", "tie_word_embeddings", "pad_token_id",
    "max_position_embeddings", "original_max_position_embeddings", "rope_theta", "rope_local_base_freq", "rope_scaling", "rope_parameters",
    "partial_rotary_factor", "layer_types", "sliding_window", "use_sliding_window", "max_window_layers", "sliding_window_pattern",
    "query_pre_attn_scalar", "final_logit_softcapping", "is_causal", "use_bidirectional_attention",
];

/// Fields that change neither the loss nor its gradients.
#[rustfmt::skip]
const NO_EFFECT: &[&str] = &[
    // Where the file comes from.
    "_name_or_path", "name_or_path", "_commit_hash", "_from_model_config", "architectures", "auto_map", "transformers_version",
    "torch_dtype", "dtype", "tokenizer_class", "is_llama_config", "unsloth_version", "unsloth_fixed", "transformers.js_config",
    // The name of the model, as transformers writes it when it converts a GGUF file.
    "_model_name_or_path",
    // How the weights were stored when the file was written. Quantised tensors are recognised by their names and dtypes, whatever this says.
    "quantization_config", "quantization", "compression_config",
    // How transformers runs it.
    "use_cache", "cache_implementation", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "_attn_implementation_internal", "experts_implementation", "_experts_implementation", "_flash_attn_2_enabled", "use_flash_attn",
    "use_flash_attention", "gradient_checkpointing", "use_bfloat16", "torchscript", "return_dict", "use_return_dict", "output_attentions",
    "_output_attentions", "output_hidden_states", "tie_last_hidden_states", "chunk_size_feed_forward", "pretraining_tp", "base_model_tp_plan",
    "base_model_pp_plan", "base_model_ep_plan", "base_model_fsdp_plan", "distributed_config",
    // The first values of weights.
    "initializer_range", "initializer_factor",
    // Nothing here drops out: gradients are those of the model in evaluation mode.
    "attention_dropout",
    // transformers reads it for Gemma 3 and does not apply it.
    "attn_logit_softcapping",
    // The rule by which layer_types were made, which are there.
    "_sliding_window_pattern",
    // What lengths other programs take.
    "max_sequence_length", "max_seq_length", "seq_length", "model_max_length",
    // Tokens.
    "bos_token_id", "eos_token_id", "sep_token_id", "unk_token_id", "decoder_start_token_id", "bos_token", "eos_token", "pad_token",
    // Generation.
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
    "diversity_penalty", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "length_penalty",
    "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "encoder_repetition_penalty", "bad_words_ids", "num_return_sequences",
    "output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "epsilon_cutoff", "eta_cutoff", "prefix",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind", "target_lookbehind",
    // Other tasks and other architectures.
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params", "classifier_dropout", "is_decoder",
    "tie_encoder_decoder",
];

/// Refuses what is neither known nor empty, by name.
pub(super) fn check(fields: &Fields) -> Result<()> {
    let is_known = |field: &str| [READ, NO_EFFECT].iter().any(|list| list.contains(&field));
    match fields.iter().find(|(field, value)| !is_known(field) && !is_empty(value)) {
        Some((field, value)) => Err(unknown(field, value)),
        None => Ok(()),
    }
}

/// The error about a field that is not known.
pub(super) fn unknown(field: &str, value: &Value) -> Error {
    let value = shortened(value);
    Error::config(field, format!("is {value}, and is not supported: take it out if the model computes the same without it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_stands_in_two_lists() {
        let mut all = [READ, NO_EFFECT].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
