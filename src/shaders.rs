//! The shaders' files as text. How a kernel is made of them is the matter of [`gpu`](crate::gpu); a run can also train on them.

/// Every file of `shaders/` by its stem, without comments.
pub(crate) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The code of a file of `shaders/`.
///
/// # Panics
/// If there is none of that stem.
pub(crate) fn code(stem: &str) -> &'static str {
    let found = FILES.iter().find(|(name, _)| *name == stem);
    found.unwrap_or_else(|| panic!("there is no shader {stem}")).1
}

/// The code of all shaders before their loops are written out: a text of this project's own.
pub fn text() -> String {
    FILES.iter().map(|(_, code)| *code).collect()
}
