//! The npm package made small: short names between the WASM and its bindings, Binaryen's optimiser, and one module of
//! JavaScript without blanks. Nothing of it is needed to understand the package: its types and README say how it is used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use walrus::{Module, ModuleConfig};

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// What is installed from the npm registry, below the target folder, to build with.
const TOOLS: [&str; 2] = ["esbuild@0.28.2", "binaryen@132.0.0"];
/// What wasm-bindgen uses of WASM, and every browser of the last years has.
const FEATURES: [&str; 6] = [
    "reference-types",
    "bulk-memory",
    "nontrapping-float-to-int",
    "sign-ext",
    "mutable-globals",
    "multivalue",
];
/// Names that start with one underscore are between the package's JavaScript and its bindings: they may be short. So may two
/// of the bindings' own.
const MANGLED: &str = "--mangle-props=^_[a-zA-Z]|^__(wbg_ptr|destroy_into_raw)$";
/// In this order the code shrinks most; a second round finds what the restructuring has made common. Functions with one caller, or
/// of next to no code, are joined with it only if they are as small as here, and nothing is at addresses below 1024, where the stack
/// would end last. Hints of alignment, which no engine uses, are in the way of compression.
const PASSES: [&str; 14] = [
    "--low-memory-unused",
    "--one-caller-inline-max-function-size",
    "30",
    "--always-inline-max-function-size",
    "4",
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    "--converge",
    "--dealign",
];

/// Tools that were installed, each by its program.
pub(crate) struct Tools(PathBuf);

impl Tools {
    /// Finds them, or installs them.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target.join("npm").join("tools");
        let stamp = folder.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == TOOLS.join(" ")) {
            return Ok(Self(folder));
        }
        println!("Installing {} below the target folder: they make the package small.", TOOLS.join(" and "));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), "{ \"private\": true }\n")?;
        let mut install = Command::new(setup::npm()?);
        install.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
        process::run(install.args(TOOLS))?;
        fs::write(stamp, TOOLS.join(" "))?;
        Ok(Self(folder))
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.0.join("node_modules").join(".bin").join(program))
    }

    /// Optimises `from` for size.
    pub(crate) fn optimise(&self, from: &Path, to: &Path) -> Result<()> {
        let mut command = self.command("wasm-opt");
        command.args(PASSES).args(FEATURES.map(|feature| format!("--enable-{feature}")));
        command.args(["--strip-debug", "--strip-producers", "--strip-target-features"]);
        process::run(command.arg(from).arg("-o").arg(to))
    }

    /// Joins a module and all that it imports in one without blanks.
    pub(crate) fn bundle(&self, from: &Path, to: &Path) -> Result<()> {
        self.esbuild(from, to, &["--target=es2022", "--minify", MANGLED])
    }

    /// Bundles a module as those do who call esbuild by hand, with nothing but what they must say.
    pub(crate) fn bundle_plainly(&self, from: &Path, to: &Path) -> Result<()> {
        self.esbuild(from, to, &[])
    }

    fn esbuild(&self, from: &Path, to: &Path, options: &[&str]) -> Result<()> {
        let mut out = std::ffi::OsString::from("--outfile=");
        out.push(to);
        let mut command = self.command("esbuild");
        command.arg(from).args(["--bundle", "--format=esm", "--log-level=warning"]);
        process::run(command.args(options).arg(out))
    }
}

/// Gives imports and exports short names, in the WASM and in the bindings: wasm-bindgen's are long, and end in hashes that
/// cannot be compressed. All that is imported comes from one module, `_`, which the bindings then export as `imports`.
pub(crate) fn shorten_names(wasm: &Path, bindings: &Path) -> Result<()> {
    let mut module: Module = ModuleConfig::new().parse_file(wasm)?;
    let mut text = fs::read_to_string(bindings)?;
    let mut names = (0..).map(short_name);
    let (mut from, mut own) = (String::new(), String::new());
    for import in module.imports.iter_mut() {
        let short = names.next().context("names go on for ever")?;
        // What the snippets have is imported as it is.
        if import.module.starts_with("./snippets/") {
            let file = import.module.rsplit('/').next().unwrap_or_default();
            from.push_str(&format!("import {{ {} as {short} }} from './{file}';\n", import.name));
            own.push_str(&format!("{short},\n"));
        } else {
            text = replace_word(&text, &import.name, &short)?;
        }
        if import.name.contains(THROW) {
            text.push_str(&format!("export const THROW = \"{short}\";\n"));
        }
        (import.module, import.name) = (MODULE.into(), short);
    }
    text = from + &in_one_object(&without_fallbacks(&text)?, &own)?;
    for export in module.exports.iter_mut() {
        let short = names.next().context("names go on for ever")?;
        // One that the bindings do not use is for other loaders.
        text =
            replace_word(&text, &format!("wasm.{}", export.name), &format!("wasm.{short}")).unwrap_or(text);
        if export.name == START {
            text.push_str(&format!("export const START = \"{short}\";\n"));
        }
        export.name = short;
    }
    for name in ["START", "THROW"] {
        if !text.contains(&format!("export const {name} = ")) {
            bail!("the WASM has nothing for the loader's {name}");
        }
    }
    module.emit_wasm_file(wasm)?;
    fs::write(bindings, text).with_context(|| format!("cannot write {}", bindings.display()))
}

/// The bindings without what they have for browsers that lack it: none of those could load the module, which waits at its top
/// level, and whose own code uses finalizers as a matter of course.
fn without_fallbacks(bindings: &str) -> Result<String> {
    let finalizers = "(typeof FinalizationRegistry === 'undefined')\n    \
                      ? { register: () => {}, unregister: () => {} }\n    : ";
    if !bindings.contains(finalizers) {
        bail!("the bindings have no fallback for finalizers");
    }
    let text = bindings.replace(finalizers, "");
    let text = without(&text, "if (!('encodeInto' in cachedTextEncoder)) {\n", "\n}\n")?;
    // All that is exported here includes a way to make memory larger.
    without(&text, "    if (realloc === undefined) {\n", "\n    }\n")
}

/// A text without what is from `begin` to `end`.
fn without(text: &str, begin: &str, end: &str) -> Result<String> {
    let (before, rest) = text.split_once(begin).with_context(|| format!("the bindings have no `{begin}`"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("`{begin}` does not end"))?;
    Ok(format!("{before}{after}"))
}

/// What everything is imported from.
const MODULE: &str = "_";

/// The exported functions with short names as methods of one object, after what it has besides: apart, each would be named a
/// second time where they are put together for the WASM.
fn in_one_object(bindings: &str, besides: &str) -> Result<String> {
    const BEGIN: &str = "export function $";
    let (mut rest, mut methods) = (String::new(), String::from(besides));
    let mut lines = bindings.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix(BEGIN) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        methods.push_str(&format!("${head}\n"));
        loop {
            let line = lines.next().context("a function of the bindings does not end")?;
            methods.push_str(line);
            methods.push('\n');
            if line.starts_with('}') {
                break;
            }
        }
        methods.push(',');
    }
    Ok(rest + "export const imports = {\n" + &methods + "};\n")
}

/// What the loader has to call.
const START: &str = "__wbindgen_start";
/// What the bindings call where an object is used that was freed: the loader puts an error of the package in its place.
const THROW: &str = "__wbindgen_throw";

/// `$0`, ..., `$z`, `$10` and so on: no name of the bindings begins so.
fn short_name(mut number: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(DIGITS[number % 36] as char);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    std::iter::once('$').chain(digits.into_iter().rev()).collect()
}

/// Replaces `word` where it is not a part of a longer one; an error if it is not there.
fn replace_word(text: &str, word: &str, with: &str) -> Result<String> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut found = false;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        out.push_str(before);
        if before.ends_with(part) || after.starts_with(part) {
            out.push_str(word);
        } else {
            out.push_str(with);
            found = true;
        }
        rest = after;
    }
    if !found {
        bail!("the bindings have no `{word}`");
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: names that are given twice, or that JavaScript does not take.
    #[test]
    fn short_names_differ() {
        assert_eq!([0, 35, 36, 71, 1296].map(short_name), ["$0", "$z", "$10", "$1z", "$100"]);
    }

    /// Catches: a function that is left out, or that takes with it what follows.
    #[test]
    fn functions_become_methods() -> Result<()> {
        let text = "export function $0(a) {\n    b();\n}\nlet c;\nexport function $1() { return d(function () {\n}, arguments); }\n";
        let methods = "$e,\n$0(a) {\n    b();\n}\n,$1() { return d(function () {\n}, arguments); }\n,";
        assert_eq!(
            in_one_object(text, "$e,\n")?,
            format!("let c;\nexport const imports = {{\n{methods}}};\n")
        );
        assert!(in_one_object("export function $0() {\n", "").is_err());
        Ok(())
    }

    /// Catches: a name that is replaced inside a longer one.
    #[test]
    fn only_whole_words_are_replaced() -> Result<()> {
        assert_eq!(replace_word("a_b(a, $a, a.c, a)", "a", "x")?, "a_b(x, $a, x.c, x)");
        assert!(replace_word("ab", "a", "x").is_err());
        Ok(())
    }
}
