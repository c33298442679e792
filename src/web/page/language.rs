//! The language that the page is in.

use super::browser;
use crate::web::i18n::{LANGUAGES, T, Texts};

/// The language that the visitor chose earlier, or the browser's, if the page has it.
pub fn preferred() -> Option<&'static str> {
    let wanted = browser::remembered("language").unwrap_or_else(browser::language);
    LANGUAGES.iter().map(|(name, _)| *name).find(|name| wanted.starts_with(name))
}

/// The texts of a language, if its file can be had.
pub async fn texts(name: &str) -> Option<T> {
    match name {
        "en" => Some(Texts::english()),
        _ => browser::fetch_text(&format!("texts/{name}.json")).await.and_then(|json| Texts::parse(&json).ok()),
    }
}
