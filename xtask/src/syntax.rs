//! Parses source files: the items that they define, import and name.

use std::collections::BTreeMap;

use syn::buffer::{Cursor, TokenBuffer};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, UseTree, Visibility};

use crate::process::Result;

/// Modules by path: `crate::gpu::kernels` is in `src/gpu/kernels/mod.rs`.
pub type Modules = BTreeMap<String, Module>;

/// The contents of a module, without tests.
#[derive(Default)]
pub struct Module {
    pub file: String,
    /// The file that defines each item. Names of macros end with `!`, since variables often have the same names.
    pub items: BTreeMap<String, String>,
    pub imports: Vec<Import>,
    /// All paths that are not imports.
    pub paths: Vec<String>,
}

/// One name of a `use`.
pub struct Import {
    pub path: String,
    /// The local name; `None` for a glob.
    pub name: Option<String>,
    /// Is it a `pub use` of any visibility?
    pub is_passed_on: bool,
}

/// Parses files, each a path relative to the project's directory and a text.
pub fn read(files: &[(String, String)]) -> Result<Modules> {
    let mut reader = Reader::default();
    for (path, text) in files {
        let file = syn::parse_file(text).map_err(|error| format!("{path} cannot be parsed: {error}"))?;
        path.clone_into(&mut reader.file);
        reader.read_module(module_of(path), |reader| reader.visit_file(&file));
    }
    let Reader { mut modules, tests, exported, .. } = reader;
    modules.retain(|module, _| !tests.iter().any(|test| module == test || module.starts_with(&format!("{test}::"))));
    // Add all parent modules, even those without a file of their own.
    for path in modules.keys().cloned().collect::<Vec<_>>() {
        for (end, _) in path.match_indices("::") {
            modules.entry(path[..end].to_owned()).or_default();
        }
    }
    modules.entry("crate".to_owned()).or_default().items.extend(exported);
    Ok(modules)
}

/// A visitor that collects the contents of files.
#[derive(Default)]
struct Reader {
    modules: Modules,
    file: String,
    /// The path of the current module.
    at: String,
    /// Modules in files of their own that exist only for tests.
    tests: Vec<String>,
    /// Macros that are exported to the crate's root, with their files.
    exported: Vec<(String, String)>,
}

impl Reader {
    fn read_module(&mut self, path: String, read: impl FnOnce(&mut Self)) {
        self.modules.insert(path.clone(), Module { file: self.file.clone(), ..Module::default() });
        let parent = std::mem::replace(&mut self.at, path);
        read(self);
        self.at = parent;
    }

    fn module(&mut self) -> &mut Module {
        self.modules.get_mut(&self.at).expect("the current module was added")
    }

    /// Collects the imports of a `use`.
    fn import(&mut self, tree: &UseTree, path: &str, is_passed_on: bool) {
        let joined = |ident: &Ident| match shown(ident).as_str() {
            "self" if !path.is_empty() => path.to_owned(),
            name if path.is_empty() => name.to_owned(),
            name => format!("{path}::{name}"),
        };
        let (path, name) = match tree {
            UseTree::Path(tree_path) => return self.import(&tree_path.tree, &joined(&tree_path.ident), is_passed_on),
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.import(tree, path, is_passed_on)),
            UseTree::Name(name) => (joined(&name.ident), Some(joined(&name.ident))),
            UseTree::Rename(rename) => (joined(&rename.ident), Some(shown(&rename.rename))),
            UseTree::Glob(_) => (path.to_owned(), None),
        };
        let name = name.map(|name| name.rsplit("::").next().unwrap_or_default().to_owned());
        self.module().imports.push(Import { path, name, is_passed_on });
    }

    /// Collects the paths among the tokens of a macro's arguments or definition.
    fn read_tokens(&mut self, mut rest: Cursor) {
        let (mut path, mut signs) = (String::new(), String::new());
        while !rest.eof() {
            if let Some((ident, after)) = rest.ident() {
                rest = after;
                let (name, signs) = (shown(&ident), std::mem::take(&mut signs));
                if signs == "::" && !path.is_empty() {
                    path = format!("{path}::{name}");
                    continue;
                }
                // A field or a method, a parameter of the macro, or the end of something that is not a plain path.
                let is_part = signs.ends_with("::") || signs.ends_with('.') && !signs.ends_with("..");
                let is_given = signs.ends_with('$') && name != "crate";
                self.note(std::mem::replace(&mut path, if is_part || is_given { String::new() } else { name }));
            } else if let Some((sign, after)) = rest.punct() {
                signs.push(sign.as_char());
                rest = after;
            } else {
                let is_called = std::mem::take(&mut signs) == "!" && rest.any_group().is_some() && !path.is_empty();
                self.note(std::mem::take(&mut path) + if is_called { "!" } else { "" });
                if let Some((inside, ..)) = rest.any_group() {
                    self.read_tokens(inside);
                }
                let after_lifetime = rest.lifetime().map(|(_, after)| after);
                rest = after_lifetime.or_else(|| rest.token_tree().map(|(_, after)| after)).expect("the cursor is not at the end");
            }
        }
        self.note(path);
    }

    fn note(&mut self, path: String) {
        if !path.is_empty() {
            self.module().paths.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = attributes_and_name(item);
        let name = name.map(shown);
        match (item, name) {
            (Item::Mod(module), Some(name)) if module.content.is_none() && is_for_tests(attributes) => {
                self.tests.push(format!("{}::{name}", self.at));
            }
            _ if is_for_tests(attributes) => {}
            (Item::Mod(module), Some(name)) if module.content.is_some() => {
                self.read_module(format!("{}::{name}", self.at), |reader| visit::visit_item_mod(reader, module));
            }
            (Item::Mod(_), _) => {}
            (Item::Use(import), _) if import.leading_colon.is_some() => {}
            (Item::Use(import), _) => self.import(&import.tree, "", !matches!(import.vis, Visibility::Inherited)),
            (_, name) => {
                let name = name.map(|name| if matches!(item, Item::Macro(_)) { name + "!" } else { name });
                let entry = name.map(|name| (name, self.file.clone()));
                if attributes.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
                    self.exported.extend(entry.clone());
                }
                self.module().items.extend(entry);
                visit::visit_item(self, item);
            }
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_for_tests = match item {
            ImplItem::Const(item) => is_for_tests(&item.attrs),
            ImplItem::Fn(item) => is_for_tests(&item.attrs),
            _ => false,
        };
        if !is_for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.note(path.segments.iter().map(|segment| shown(&segment.ident)).collect::<Vec<_>>().join("::"));
        }
        visit::visit_path(self, path);
    }

    /// In a pattern, a constant without a path differs from a variable only by its case.
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = shown(&pattern.ident);
        if name.starts_with(char::is_uppercase) {
            self.note(name);
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note(call.path.segments.iter().map(|segment| shown(&segment.ident)).collect::<Vec<_>>().join("::") + "!");
        self.read_tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// The attributes of an item, and its name if others can name it.
fn attributes_and_name(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, Some(&item.ident)),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Is there a `cfg(test)`, possibly with further conditions?
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    let mut conditions = conditions.filter_map(|attribute| attribute.meta.require_list().ok()).map(|list| list.tokens.to_string());
    conditions.any(|condition| condition == "test" || condition.replace(' ', "").starts_with("all(test,"))
}

/// A name without the `r#` of raw identifiers.
fn shown(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// The module of a file by its path, since macros declare some modules.
fn module_of(file: &str) -> String {
    let file = file.trim_start_matches("src/").trim_end_matches(".rs");
    let names = file.split('/').filter(|name| !matches!(*name, "lib" | "mod"));
    std::iter::once("crate").chain(names).collect::<Vec<_>>().join("::")
}
