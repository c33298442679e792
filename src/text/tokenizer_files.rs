//! The files of a tokenizer, and those beside it that say what its special tokens are.

use crate::error::Result;
use crate::model::{CONFIG, Files, GENERATION_CONFIG, read_whole};

/// A limit in bytes that none of the files reaches.
const MAX_BYTES: u64 = 256 << 20;

/// The files that a tokenizer is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, if there is one.
    pub config: Option<Vec<u8>>,
    /// `chat_template.jinja`, if there is one.
    pub chat_template: Option<Vec<u8>>,
    /// `special_tokens_map.json`, if there is one: older than `tokenizer_config.json`.
    pub special_tokens_map: Option<Vec<u8>>,
    /// `added_tokens.json`, if there is one: older, too.
    pub added_tokens: Option<Vec<u8>>,
    /// The model's `generation_config.json`, if there is one.
    pub generation_config: Option<Vec<u8>>,
    /// The model's `config.json`, if there is one.
    pub model_config: Option<Vec<u8>>,
}

impl TokenizerFiles {
    /// The file of a chat template.
    pub const CHAT_TEMPLATE: &str = "chat_template.jinja";

    /// The names of the files, the first of which has to be there.
    pub const NAMES: [&str; 6] =
        ["tokenizer.json", "tokenizer_config.json", Self::CHAT_TEMPLATE, "special_tokens_map.json", "added_tokens.json", GENERATION_CONFIG];

    /// The tokenizer's own files by name, to be saved with a model.
    pub fn named(&self) -> Vec<(&'static str, &[u8])> {
        let all = [Some(&self.tokenizer), self.config.as_ref(), self.chat_template.as_ref(), self.special_tokens_map.as_ref()];
        let all = all.into_iter().chain([self.added_tokens.as_ref()]);
        Self::NAMES.into_iter().zip(all).filter_map(|(name, bytes)| Some((name, bytes?.as_slice()))).collect()
    }

    /// Reads a tokenizer from the file `tokenizer`, as `tokenizer.json`, and from those beside it. `None` if there is no such file.
    ///
    /// # Errors
    /// Errors of `files`.
    pub async fn load(files: &impl Files, tokenizer: &str) -> Result<Option<Self>> {
        if files.size(tokenizer).await?.is_none() {
            return Ok(None);
        }
        let [_, config, chat_template, special_tokens_map, added_tokens, generation_config] = Self::NAMES;
        Ok(Some(TokenizerFiles {
            tokenizer: read_whole(files, tokenizer, MAX_BYTES).await?,
            config: optional(files, config).await?,
            chat_template: optional(files, chat_template).await?,
            special_tokens_map: optional(files, special_tokens_map).await?,
            added_tokens: optional(files, added_tokens).await?,
            generation_config: optional(files, generation_config).await?,
            model_config: optional(files, CONFIG).await?,
        }))
    }

    /// Reads the files of a directory, or a `tokenizer.json` and those beside it. `None` if there is no `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) if an existing file cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: &std::path::Path) -> Result<Option<Self>> {
        let file = if path.is_dir() { path.join(Self::NAMES[0]) } else { path.to_owned() };
        let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else { return Ok(None) };
        pollster::block_on(Self::load(&crate::model::Directory(directory.to_owned()), name))
    }

    /// These files with those of a model that name the ids of special tokens: its tokenizer may lie elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) if an existing file cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_ids_of(self, model: &std::path::Path) -> Result<Self> {
        pollster::block_on(self.with_ids(&crate::model::Directory(model.to_owned())))
    }

    /// As [`TokenizerFiles::with_ids_of`], for the files of a model.
    ///
    /// # Errors
    /// Errors of `model`.
    pub async fn with_ids(self, model: &impl Files) -> Result<Self> {
        let generation_config = optional(model, GENERATION_CONFIG).await?;
        Ok(TokenizerFiles { generation_config, model_config: optional(model, CONFIG).await?, ..self })
    }

    /// These files with the chat template that lies in a directory of adapters, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) if the file cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_template_of(self, adapters: &std::path::Path) -> Result<Self> {
        let template = pollster::block_on(optional(&crate::model::Directory(adapters.to_owned()), Self::CHAT_TEMPLATE))?;
        Ok(TokenizerFiles { chat_template: template.or(self.chat_template), ..self })
    }
}

async fn optional(files: &impl Files, name: &str) -> Result<Option<Vec<u8>>> {
    match files.size(name).await? {
        Some(_) => read_whole(files, name, MAX_BYTES).await.map(Some),
        None => Ok(None),
    }
}
