//! Patterns of the reward `regex`: natively those of the crate `regex`, in a page those of the browser, which the page need not carry.
//!
//! Both know characters, classes, repetition, groups, alternatives and anchors, and take a text as Unicode. Only the native ones have flags
//! within (`(?i)`), and they take no longer than the text's length demands; only those of a browser look around (`(?=…)`) and refer back.

use crate::error::{Error, Result};

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern(Compiled);

#[cfg(not(target_arch = "wasm32"))]
type Compiled = regex::Regex;
#[cfg(target_arch = "wasm32")]
type Compiled = js_sys::RegExp;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`Error::Setting`] with the pattern and what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self> {
        compiled(pattern).map(Pattern).map_err(|reason| {
            let reason = reason.split_whitespace().collect::<Vec<&str>>().join(" ");
            Error::Setting(format!("the pattern {pattern} of the reward regex cannot be used ({reason}); correct it"))
        })
    }

    /// Does it match anywhere in a text?
    pub fn is_in(&self, text: &str) -> bool {
        #[cfg(not(target_arch = "wasm32"))]
        return self.0.is_match(text);
        #[cfg(target_arch = "wasm32")]
        return self.0.test(text);
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn compiled(pattern: &str) -> Result<Compiled, String> {
    Compiled::new(pattern).map_err(|error| error.to_string())
}

/// The constructor is called by its name, because what it throws would end the program if `js_sys` called it.
#[cfg(target_arch = "wasm32")]
fn compiled(pattern: &str) -> Result<Compiled, String> {
    use wasm_bindgen::{JsCast, JsValue};

    let said = |error: JsValue| error.dyn_ref::<js_sys::Error>().map_or_else(String::new, |error| error.message().into());
    let constructor = js_sys::Reflect::get(&js_sys::global(), &"RegExp".into()).map_err(said)?;
    let arguments = js_sys::Array::of2(&pattern.into(), &"u".into());
    let made = js_sys::Reflect::construct(constructor.unchecked_ref::<js_sys::Function>(), &arguments).map_err(said)?;
    Ok(made.unchecked_into())
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_anywhere_and_a_broken_one_is_named() {
        let pattern = Pattern::new("[0-9]{2}").unwrap();
        assert!(pattern.is_in("the answer is 42.") && !pattern.is_in("4 2"));
        let said = Pattern::new("a(b").unwrap_err().to_string();
        assert!(said.contains("the pattern a(b of") && said.contains("unclosed group") && !said.contains('\n'), "{said}");
    }
}
