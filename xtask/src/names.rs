//! The names by which a program and its script know each other, made short: wasm-bindgen's are long and end in a hash of their own. Names that
//! only tools read go.

use std::collections::BTreeMap;
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{ImportSection, Module};
use wasmparser::{CustomSectionReader, Import, Imports, Parser};

use crate::process::Result;

/// The program and the script, with a short name for each function that the script has for the program.
pub fn shortened(program: &[u8], script: &str) -> Result<(Vec<u8>, String)> {
    let functions = script.lines().filter_map(function);
    let mut short = ShortNames(functions.enumerate().map(|(i, name)| (name.to_owned(), short_name(i))).collect());
    let mut module = Module::new();
    short.parse_core_module(&mut module, Parser::new(0), program).map_err(|error| format!("it is no WebAssembly: {error}"))?;
    let line = |line: &str| match function(line) {
        Some(name) => format!("{}{}\n", short.0[name], &line[name.len()..]),
        None => format!("{line}\n"),
    };
    Ok((module.finish(), script.lines().map(line).collect()))
}

/// The name that a line gives to a function of the program's.
fn function(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    (name.starts_with("__wb") && rest.trim_start().starts_with("function")).then_some(name)
}

/// Another name for each number.
fn short_name(number: usize) -> String {
    let letter = char::from(b"abcdefghijklmnopqrstuvwxyz"[number % 26]);
    if number < 26 { letter.to_string() } else { format!("{letter}{}", number / 26) }
}

struct ShortNames(BTreeMap<String, String>);

impl Reencode for ShortNames {
    type Error = Infallible;

    /// What only tools read: names of functions, who made the program, what it asks of whoever runs it.
    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> std::result::Result<(), Error<Infallible>> {
        Ok(())
    }

    fn parse_imports(&mut self, section: &mut ImportSection, imports: Imports<'_>) -> std::result::Result<(), Error<Infallible>> {
        let imports = match imports {
            Imports::Single(at, import) => {
                let name = self.0.get(import.name).map_or(import.name, String::as_str).to_owned();
                return utils::parse_imports(self, section, Imports::Single(at, Import { name: &name, ..import }));
            }
            several => several,
        };
        utils::parse_imports(self, section, imports)
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{CustomSection, EntityType, TypeSection};

    use super::*;

    #[test]
    fn a_program_and_its_script_agree_on_short_names() {
        let (mut types, mut imports, mut module) = (TypeSection::new(), ImportSection::new(), Module::new());
        types.ty().function([], []);
        for name in ["__wbg_a_0123456789abcdef", "__wbindgen_cast_1", "other"] {
            imports.import("./page_bg.js", name, EntityType::Function(0));
        }
        module.section(&types).section(&imports).section(&CustomSection { name: "name".into(), data: (&[]).into() });
        let script = "__wbindgen_cast_1: function() {\nreturn x ? a : 1;\n},\n__wbg_a_0123456789abcdef: function(a) {\n";
        let (program, script) = shortened(&module.finish(), script).unwrap();
        assert_eq!(script, "a: function() {\nreturn x ? a : 1;\n},\nb: function(a) {\n");
        assert!(!program.windows(4).any(|bytes| bytes == b"name"));
        let parts = Parser::new(0).parse_all(&program).map(|part| part.unwrap());
        let names: Vec<String> = parts
            .filter_map(|part| if let wasmparser::Payload::ImportSection(imports) = part { Some(imports) } else { None })
            .flat_map(|imports| imports.into_imports())
            .map(|import| import.unwrap().name.to_owned())
            .collect();
        assert_eq!(names, ["b", "a", "other"]);
    }

    #[test]
    fn every_number_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = (0..2000).map(short_name).collect();
        assert_eq!(names.len(), 2000);
    }
}
