//! Dependencies between source files: which file names items that another file defines, determined without compiling.
//!
//! A name is resolved through any number of `use` and `pub use` to the file that defines it. Items that macros generate are unknown: a name
//! that is not found in its module counts as defined in that module's own file.

use crate::process::Result;
use crate::syntax::{self, Import, Modules};

/// A dependency: one file names an item of another.
pub struct Dependency {
    pub from: String,
    pub to: String,
    pub name: String,
    /// Does the file need the item? It does not if it only re-exports it with `pub use`, or only names a module.
    pub is_need: bool,
}

/// Finds all dependencies between files. Each file is a path relative to the project's directory, and a text.
pub fn dependencies(files: &[(String, String)]) -> Result<Vec<Dependency>> {
    let library = Library { modules: syntax::read(files)? };
    let mut all = library.dependencies();
    all.retain(|dependency| dependency.from != dependency.to);
    Ok(all)
}

/// All modules, for name resolution.
struct Library {
    modules: Modules,
}

/// The meaning of a name.
enum Meaning {
    Module(String),
    Item {
        file: String,
        name: String,
    },
    /// An item of another crate, of a prelude, or of a function.
    Foreign,
}

/// The names that are being resolved, each with its module and whether it ends a path. An import that leads back to one of them is a dead
/// end.
type Open = Vec<(String, String, bool)>;

impl Library {
    /// All dependencies.
    fn dependencies(&self) -> Vec<Dependency> {
        let mut all = Vec::new();
        for (at, module) in &self.modules {
            let imported = module.imports.iter().map(|import| (&import.path, !import.is_passed_on));
            for (path, is_need) in imported.chain(module.paths.iter().map(|path| (path, true))) {
                for meaning in self.meanings(at, path, &mut Open::new()) {
                    let (to, name, is_need) = match meaning {
                        Meaning::Item { file, name } => (file, name, is_need),
                        Meaning::Module(name) => (self.modules[&name].file.clone(), name, false),
                        Meaning::Foreign => continue,
                    };
                    all.push(Dependency { from: module.file.clone(), to, name, is_need });
                }
            }
        }
        all
    }

    /// The meanings of a path in a module. There are two if targets import different items by one name.
    fn meanings(&self, at: &str, path: &str, open: &mut Open) -> Vec<Meaning> {
        let (first, rest) = cut(path);
        match first {
            "crate" => self.within("crate", rest, open),
            "self" => self.within(at, rest, open),
            "super" => self.within(at, path, open),
            _ => {
                let found = self.named(at, first, rest.is_empty(), open);
                if found.is_empty() { vec![self.visible_macro(at, first)] } else { self.followed(found, rest, open) }
            }
        }
    }

    /// The meanings of the rest of a path, after a module.
    fn within(&self, at: &str, path: &str, open: &mut Open) -> Vec<Meaning> {
        let (first, rest) = cut(path);
        match first {
            "" => vec![Meaning::Module(at.to_owned())],
            "super" => self.within(parent(at).unwrap_or(at), rest, open),
            _ => {
                let found = self.named(at, first, rest.is_empty(), open);
                if found.is_empty() { vec![item(&self.modules[at].file, first)] } else { self.followed(found, rest, open) }
            }
        }
    }

    /// The meanings of the rest of a path, after a resolved beginning. Everything within an item belongs to the item.
    fn followed(&self, found: Vec<Meaning>, rest: &str, open: &mut Open) -> Vec<Meaning> {
        let follow = |meaning| match meaning {
            Meaning::Module(module) => self.within(&module, rest, open),
            Meaning::Item { .. } | Meaning::Foreign => vec![meaning],
        };
        found.into_iter().flat_map(follow).collect()
    }

    /// The meanings of a name in a module. A function and a module may have the same name: a path continues in the module and ends at the
    /// function.
    fn named(&self, at: &str, name: &str, is_end: bool, open: &mut Open) -> Vec<Meaning> {
        let (module, child, key) = (&self.modules[at], format!("{at}::{name}"), (at.to_owned(), name.to_owned(), is_end));
        let child = Some(child).filter(|child| self.modules.contains_key(child)).map(Meaning::Module);
        if open.contains(&key) {
            return Vec::new();
        }
        if !is_end && child.is_some() {
            return child.into_iter().collect();
        }
        if let Some(file) = module.items.get(name).or_else(|| module.items.get(&format!("{name}!"))) {
            return vec![item(file, name)];
        }
        open.push(key);
        let (globs, named): (Vec<&Import>, Vec<&Import>) = module.imports.iter().partition(|import| import.name.is_none());
        let named = named.into_iter().filter(|import| import.name.as_deref() == Some(name.trim_end_matches('!')));
        let mut found: Vec<Meaning> = named.flat_map(|import| self.meanings(at, &import.path, open)).collect();
        if found.is_empty() {
            found.extend(child);
        }
        if found.is_empty() {
            found.extend(globs.into_iter().flat_map(|glob| self.named_by_glob(at, &glob.path, name, is_end, open)));
        }
        open.pop();
        found
    }

    /// The meanings of a name that a module may import by a glob.
    fn named_by_glob(&self, at: &str, glob: &str, name: &str, is_end: bool, open: &mut Open) -> Vec<Meaning> {
        let mut found = Vec::new();
        for source in self.meanings(at, glob, open) {
            if let Meaning::Module(source) = source {
                found.extend(self.named(&source, name, is_end, open));
            }
        }
        found
    }

    /// A macro is visible by its name alone in the modules within its own, and possibly after it.
    fn visible_macro(&self, at: &str, name: &str) -> Meaning {
        let ancestors = std::iter::successors(Some(at), |at| parent(at)).filter_map(|at| self.modules.get(at));
        let mut modules = ancestors.chain(self.modules.values()).filter(|_| name.ends_with('!'));
        modules.find_map(|module| module.items.get(name)).map_or(Meaning::Foreign, |file| item(file, name))
    }
}

fn item(file: &str, name: &str) -> Meaning {
    Meaning::Item { file: file.to_owned(), name: name.to_owned() }
}

/// Splits a path into its first name and the rest.
fn cut(path: &str) -> (&str, &str) {
    path.split_once("::").unwrap_or((path, ""))
}

fn parent(module: &str) -> Option<&str> {
    module.rsplit_once("::").map(|(parent, _)| parent)
}
