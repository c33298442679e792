//! The runtime directory of a login session (`XDG_RUNTIME_DIR`). Without a login, as in a container, there is none, and Mesa's Vulkan
//! driver prints an error for every test that requests an adapter.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Result;

const VARIABLE: &str = "XDG_RUNTIME_DIR";

/// A temporary runtime directory if the system has none. It is removed when dropped.
pub struct RuntimeDirectory(Option<PathBuf>);

impl RuntimeDirectory {
    pub fn ensure() -> Result<RuntimeDirectory> {
        if !cfg!(target_os = "linux") || std::env::var_os(VARIABLE).is_some_and(|path| !path.is_empty()) {
            return Ok(RuntimeDirectory(None));
        }
        let path = std::env::temp_dir().join(format!("streambp-runtime-{}", std::process::id()));
        create(&path).map_err(|error| format!("{} cannot be created ({error}): set {VARIABLE} or TMPDIR", path.display()))?;
        Ok(RuntimeDirectory(Some(path)))
    }

    /// Sets the directory in the environment of a command.
    pub fn give_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match &self.0 {
            Some(path) => command.env(VARIABLE, path),
            None => command,
        }
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It is a temporary directory, so a failure does not matter.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Creates the directory with private permissions, without which programs refuse it.
fn create(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_removed_when_dropped() {
        let path = std::env::temp_dir().join(format!("streambp-runtime-test-{}", std::process::id()));
        create(&path).unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o700);
        drop(RuntimeDirectory(Some(path.clone())));
        assert!(!path.exists());
    }
}
