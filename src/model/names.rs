//! The names of tensors in files. They are those of Hugging Face and PEFT, or the same with another prefix: `_orig_mod.` of a compiled model,
//! `language_model.` of a multimodal one, no `model.` of a model without LM head, `.default` of an adapter.

use super::{Parameter, Role};

/// How the names in a file differ from [`Parameter::name`]. What is written has the names that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorNames {
    /// What precedes `embed_tokens.`, `layers.` and `norm.`.
    body: String,
    /// The name of the LM head's matrix.
    lm_head: String,
    /// What precedes `layers.` in the name of an adapter.
    adapted_body: String,
    /// What stands between `lora_A` or `lora_B` and `.weight`.
    adapter: String,
}

const BODY: &str = "model.";
const LM_HEAD: &str = "lm_head.weight";
const OF_PEFT: &str = "base_model.model.";
const LAYERS: &str = "layers.";
/// Where the text model of a multimodal one lies in `transformers`, and so in the names of its adapters.
const MULTIMODAL_BODY: &str = "model.language_model.";

impl Default for TensorNames {
    /// The names of `transformers` and PEFT.
    fn default() -> Self {
        let [body, lm_head] = [BODY, LM_HEAD].map(str::to_owned);
        TensorNames { body, lm_head, adapted_body: format!("{OF_PEFT}{BODY}"), adapter: String::new() }
    }
}

impl TensorNames {
    /// The names in a model with these tensors, by the one that ends in `embed_tokens.weight`.
    pub(super) fn of_model<'a>(tensors: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut names = TensorNames::default();
        // Other towers of a multimodal model may have one too.
        let prefix = |name: &'a str| prefix_of(name, "embed_tokens.weight");
        let mut bodies = tensors.clone().filter_map(prefix).collect::<Vec<&str>>();
        bodies.sort_by_key(|body| (*body != BODY, body.len()));
        if let Some(body) = bodies.first() {
            (*body).clone_into(&mut names.body);
        }
        let is_head = |name: &&str| prefix_of(name, LM_HEAD).is_some_and(|prefix| names.body.starts_with(prefix));
        if let Some(head) = tensors.filter(is_head).min_by_key(|name| name.len()) {
            head.clone_into(&mut names.lm_head);
        }
        names
    }

    /// The names of adapters in a file with these tensors, by the first one.
    pub(super) fn of_adapters<'a>(mut tensors: impl Iterator<Item = &'a str>) -> Self {
        let mut names = TensorNames::default();
        let found = tensors.find_map(|name| Some((name.split_once(LAYERS)?.0, adapter_of(name)?)));
        if let Some((body, adapter)) = found {
            body.clone_into(&mut names.adapted_body);
            adapter.clone_into(&mut names.adapter);
        }
        names
    }

    /// The names of new adapters of a multimodal model's text model.
    pub(super) fn of_multimodal_adapters() -> Self {
        TensorNames { adapted_body: format!("{OF_PEFT}{MULTIMODAL_BODY}"), ..TensorNames::default() }
    }

    /// The name of the LM head's matrix.
    pub(super) fn lm_head(&self) -> &str {
        &self.lm_head
    }

    /// The name of a parameter in the file.
    pub fn of(&self, parameter: &Parameter) -> String {
        let name = parameter.name.strip_prefix(OF_PEFT).unwrap_or(&parameter.name);
        let name = name.strip_prefix(BODY).unwrap_or(name);
        match parameter.role {
            Role::LmHead => self.lm_head.clone(),
            Role::LoraA(_) | Role::LoraB(_) => {
                let module = name.strip_suffix(".weight").unwrap_or(name);
                format!("{}{module}{}.weight", self.adapted_body, self.adapter)
            }
            _ => format!("{}{name}", self.body),
        }
    }
}

/// What precedes the end of a name, if that is a whole number of its words.
fn prefix_of<'a>(name: &'a str, end: &str) -> Option<&'a str> {
    name.strip_suffix(end).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

/// What stands between `lora_A` or `lora_B` and `.weight`.
fn adapter_of(name: &str) -> Option<&str> {
    let module = name.strip_suffix(".weight")?;
    ["lora_A", "lora_B"].iter().find_map(|matrix| Some(module.rsplit_once(matrix)?.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, Dtype, Lora, ModelSpec, Parameters, Projection};

    /// The names of an embedding, a matrix in a layer, the final norm and the LM head.
    fn of_model(tensors: &[&str]) -> [String; 4] {
        let names = TensorNames::of_model(tensors.iter().copied());
        let parameters = Parameters::new(&Config::llama([8, 12, 1, 2, 1, 4]));
        let roles = [(Role::Embedding, None), (Role::MlpNorm, Some(0)), (Role::FinalNorm, None), (Role::LmHead, None)];
        roles.map(|(role, layer)| names.of(parameters.get(parameters.find(role, layer))))
    }

    fn with(body: &str, head: &str) -> [String; 4] {
        let inner = ["embed_tokens.weight", "layers.0.post_attention_layernorm.weight", "norm.weight"];
        let [embedding, norm, last] = inner.map(|name| format!("{body}{name}"));
        [embedding, norm, last, head.to_owned()]
    }

    #[test]
    fn prefixes_of_models_are_found() {
        for (embedding, head) in [
            ("model.embed_tokens.weight", "lm_head.weight"),
            ("embed_tokens.weight", "lm_head.weight"),
            ("_orig_mod.model.embed_tokens.weight", "_orig_mod.lm_head.weight"),
            ("module.model.embed_tokens.weight", "module.lm_head.weight"),
            ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"),
            ("model.language_model.embed_tokens.weight", "lm_head.weight"),
        ] {
            let body = embedding.strip_suffix("embed_tokens.weight").unwrap();
            assert_eq!(of_model(&[embedding, head]), with(body, head));
        }
        assert_eq!(of_model(&[]), with("model.", "lm_head.weight"));
        assert_eq!(of_model(&["audio.embed_tokens.weight", "model.embed_tokens.weight"])[0], "model.embed_tokens.weight");
        // Neither of these is the model's head.
        assert_eq!(of_model(&["model.embed_tokens.weight", "draft.lm_head.weight", "my_lm_head.weight"]), with("model.", "lm_head.weight"));
    }

    #[test]
    fn names_of_adapters_are_found() {
        let lora = Lora { rank: 1, alpha: 1.0, use_rslora: false, targets: vec![Projection::Up], layers: None };
        let parameters = Parameters::new(ModelSpec::lora(&Config::llama([8, 12, 1, 2, 1, 4]), lora, Dtype::F32).unwrap());
        let b = parameters.get(parameters.find(Role::LoraB(Projection::Up), Some(0)));
        for (prefix, adapter) in
            [("base_model.model.model.", ""), ("model.", ""), ("", ""), ("base_model.model.model.language_model.", ""), ("", ".default")]
        {
            let name = |matrix: &str| format!("{prefix}layers.0.mlp.up_proj.{matrix}{adapter}.weight");
            assert_eq!(TensorNames::of_adapters([name("lora_A").as_str()].into_iter()).of(b), name("lora_B"));
        }
        assert_eq!(TensorNames::default().of(b), b.name);
        assert_eq!(TensorNames::of_adapters(["lm_head.weight"].into_iter()), TensorNames::default());
    }
}
