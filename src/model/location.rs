//! Finds a model or adapters by the path that was given, or says what it is instead.

use std::fs;
use std::path::{Path, PathBuf};

use super::config_file::CONFIG;
use super::directory_writer::is_model_file;
use super::{PRESETS, adapter_config};
use crate::error::{Error, Result};

/// The `config.json` of a model in a directory, or the one that was given itself.
///
/// # Errors
/// [`Error::Setting`] with what there is instead.
pub(super) fn config_of(model: &str) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.is_file() {
        return if is_part(path) { Err(Error::Setting(part(path, "a model"))) } else { Ok(path.to_owned()) };
    }
    if !path.is_dir() {
        let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let problem = || format!("there is no model {model}: give a directory with a {CONFIG}, or one of {}", presets.join(", "));
        return Err(Error::Setting(on_the_hub(path).unwrap_or_else(problem)));
    }
    let file = path.join(CONFIG);
    if file.is_file() {
        return Ok(file);
    }
    Err(Error::Setting(if path.join(adapter_config::CONFIG).is_file() {
        format!("{model} holds adapters, and no model; give their base model as --model, and {model} as --lora")
    } else if is_empty(path) {
        format!("the directory {model} is empty; give the directory of a model, with its {CONFIG}")
    } else {
        format!("{}: is not there; choose the whole directory of a model", file.display())
    }))
}

/// Checks that a directory holds adapters.
///
/// # Errors
/// [`Error::Setting`] with what it is instead.
pub(super) fn check_adapters(directory: &Path) -> Result<()> {
    let shown = directory.display();
    let config = adapter_config::CONFIG;
    if directory.join(config).is_file() {
        return Ok(());
    }
    Err(Error::Setting(if directory.is_file() {
        part(directory, "adapters")
    } else if !directory.is_dir() {
        on_the_hub(directory).unwrap_or_else(|| format!("there is no directory {shown}; give one with an {config}"))
    } else if directory.join(CONFIG).is_file() {
        format!("{shown} holds a model, and no adapters; give the directory with their {config}")
    } else if is_empty(directory) {
        format!("the directory {shown} is empty; give the directory of adapters, with their {config}")
    } else {
        format!("{}: is not there; choose the whole directory of the adapters", directory.join(config).display())
    }))
}

/// Is that a file of a model or of adapters, other than a `config.json`?
fn is_part(path: &Path) -> bool {
    let is_weights = path.extension().is_some_and(|extension| ["safetensors", "bin", "pt", "pth", "gguf"].iter().any(|e| extension == *e));
    let is_known = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_model_file(name) && name != CONFIG);
    is_weights || is_known
}

fn part(path: &Path, whole: &str) -> String {
    if path.extension().is_some_and(|extension| extension == "gguf") {
        return format!("{} is in the format GGUF, which is not read; take the model in safetensors", path.display());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    format!("{} is one file of {whole}; give its directory, {}", path.display(), parent.display())
}

/// What to do with the name of a model on the Hugging Face Hub.
fn on_the_hub(path: &Path) -> Option<String> {
    let name = path.to_str()?.trim_start_matches("https://").trim_start_matches("huggingface.co/").trim_end_matches('/');
    let (owner, model) = name.split_once('/')?;
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    // With a directory of the owner's name, it is more likely a path.
    let is_name = is_word(owner) && is_word(model) && !Path::new(owner).is_dir();
    is_name.then(|| {
        format!("there is no directory {name}; if it is on the Hugging Face Hub, download it first: hf download {name} --local-dir {model}")
    })
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_hub_are_told_from_paths() {
        for name in ["Qwen/Qwen3-0.6B", "https://huggingface.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B/"] {
            assert!(on_the_hub(Path::new(name)).unwrap().ends_with("hf download Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B"), "{name}");
        }
        for path in ["huge", "./Qwen/Qwen3", "/Qwen/Qwen3", "a/b/c", "../b", "src/nothing", "a/", "~/b"] {
            assert_eq!(on_the_hub(Path::new(path)), None, "{path}");
        }
    }
}
