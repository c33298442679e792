//! The source of the shaders. [`gpu`](crate::gpu) makes kernels of it; a run can also train on it.

/// The files of `shaders/` by stem, without comments.
pub(crate) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The source of a file of `shaders/`.
///
/// # Panics
/// If there is no file with that stem.
pub(crate) fn code(stem: &str) -> &'static str {
    let found = FILES.iter().find(|(name, _)| *name == stem);
    found.unwrap_or_else(|| panic!("there is no shader {stem}")).1
}

/// The source of all shaders before loops are unrolled: training data that is always available.
pub fn text() -> String {
    FILES.iter().map(|(_, code)| *code).collect()
}
