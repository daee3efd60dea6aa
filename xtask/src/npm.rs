//! The npm package: built under the target folder, and tried as its users will use it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::chromium;
use crate::interrupt;
use crate::process::{self, KillOnDrop};
use crate::server::SiteServer;
use crate::setup;
use crate::shrink::{self, Tools};
use crate::site::{self, WASM_TARGET};
use crate::webdriver::{Driver, Session};
use crate::workspace::Workspace;

/// The package that is compiled.
pub(crate) const PACKAGE: &str = "pool-web-npm";
/// The profile that it is built with.
const PROFILE: &str = "npm";
/// A little more inlining than at `opt-level = "z"`, of which 5 is the measure: what is called in few places then needs no
/// frame of its own. Less and more were both larger.
const INLINING: &str = "-inline-threshold=8";
/// The module's name.
const MODULE: &str = "pool_web";
/// The profiler's module for the audio thread, for pages that forbid modules from a blob.
const WORKLET: &str = "timing.js";
/// The file of the bindings.
const BINDINGS: &str = "pool_web_bg.js";
/// The packed archive may have this many bytes, which is the goal: it has 59 871.
const MAX_PACKED_BYTES: u64 = 60_000;
/// What stands above the text of the MIT license: that of the other, of which either may be chosen, is four kilobytes packed.
const OTHER_LICENSE: &str = "\
Licensed, at your option, under the Apache License, Version 2.0
(https://www.apache.org/licenses/LICENSE-2.0), or under the MIT license:
";
/// Acquires and releases after which the browser must hold no more than before.
const CHURN: u32 = 100_000;
/// Handlers that may come and go by themselves.
const HANDLER_TOLERANCE: f64 = 8.0;
/// How many checks the Vite project must report at least; one that reports none would pass unseen.
const MIN_CHECKS: usize = 16;

/// Builds the package, and tries it if asked.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let package = build(workspace)?;
    println!("The package is in {}.", workspace.shown(&package));
    if check { try_out(workspace, &package) } else { Ok(()) }
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    site::check_bindgen_versions(workspace)?;
    setup::rust_target(WASM_TARGET, "the package is WebAssembly")?;
    let mut build = process::cargo();
    build.current_dir(&workspace.root);
    build.args(["build", "--package", PACKAGE, "--target", WASM_TARGET, "--profile", PROFILE]);
    build.args(["--config", &format!("target.{WASM_TARGET}.rustflags = [\"-Cllvm-args={INLINING}\"]")]);
    process::run(build.arg("--target-dir").arg(&workspace.target))?;

    let folder = workspace.target.join("npm");
    let (parts, package) = (folder.join("parts"), folder.join("pool-web"));
    for folder in [&parts, &package] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
        }
    }
    let wasm = workspace.target.join(WASM_TARGET).join(PROFILE).join("pool_web_npm.wasm");
    site::bindings(&wasm, &parts, MODULE, "bundler")?;
    flatten_snippets(&parts)?;
    let member = workspace.member(PACKAGE)?;
    site::copy_folder(&member.folder.join("package"), &package)?;
    let (entry, bound) = (package.join("index.js"), format!("{MODULE}_bg.wasm"));
    copy(&entry, &parts.join("index.js"))?;
    shrink::shorten_names(&parts.join(&bound), &parts.join(BINDINGS))?;
    let tools = Tools::find(workspace)?;
    tools.optimise(&parts.join(&bound), &package.join(&bound))?;
    let worklet = workspace.member("pool-web")?.folder.join("src/worklet").join(WORKLET);
    tools.bundle(&worklet, &package.join(WORKLET))?;
    // The same to the letter, so that in the archive it is there once.
    let text = read(&package.join(WORKLET))?;
    write(&parts.join(WORKLET).with_extension("txt"), text.trim_end())?;
    tools.bundle(&parts.join("index.js"), &entry)?;

    let license = read(&workspace.root.join("LICENSE-MIT"))?;
    write(&package.join("LICENSE"), &format!("{OTHER_LICENSE}\n{license}"))?;
    let manifest = package.join("package.json");
    let mut fields: Value = serde_json::from_str(&read(&manifest)?)?;
    fields["version"] = json!(workspace.version_of(PACKAGE)?);
    write(&manifest, &(serde_json::to_string_pretty(&fields)? + "\n"))?;
    for file in fields["files"].as_array().context("package.json lists no files")? {
        let path = package.join(file.as_str().context("a file of package.json is no string")?);
        if !path.is_file() {
            bail!("package.json lists {}, which was not built", path.display());
        }
    }
    Ok(package)
}

/// Moves the modules that came with the crates from their folders, named by hashes, beside the bindings.
fn flatten_snippets(package: &Path) -> Result<()> {
    let bindings = package.join(BINDINGS);
    let mut text = read(&bindings)?;
    for snippet in snippets_in(&text) {
        let name = snippet.rsplit('/').next().unwrap_or(&snippet).to_owned();
        let flat = package.join(&name);
        if flat.exists() {
            bail!("two modules of the crates are called {name}");
        }
        copy(&package.join(&snippet), &flat)?;
        text = with_import(&text, &snippet, &name);
    }
    fs::remove_dir_all(package.join("snippets"))
        .context("the bindings came without modules of the crates")?;
    write(&bindings, &text)
}

/// The bindings with the snippet imported from beside them. The WASM goes on naming it by its path, as a key.
fn with_import(bindings: &str, snippet: &str, name: &str) -> String {
    let imports = |line: &str| line.trim_start().starts_with("import ");
    let moved = |line: &str| {
        let moved = if imports(line) {
            line.replace(&format!("./{snippet}"), &format!("./{name}"))
        } else {
            line.into()
        };
        moved + "\n"
    };
    bindings.lines().map(moved).collect()
}

/// Paths of imported snippets, each once.
fn snippets_in(bindings: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in bindings.lines() {
        let Some((_, rest)) = line.split_once("'./snippets/").or_else(|| line.split_once("\"./snippets/"))
        else {
            continue;
        };
        let end = rest.find(['\'', '"']).unwrap_or(rest.len());
        let path = format!("snippets/{}", &rest[..end]);
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Packs the package, installs it in a project of its own, type-checks and bundles that, and runs it in Chromium; and a small
/// page by way of other bundlers, of a development server, and of none.
fn try_out(workspace: &Workspace, package: &Path) -> Result<()> {
    let npm = setup::npm()?;
    let folder = workspace.target.join("npm");
    let pack = process::output(npm_in(&npm, package).args(["pack", "--pack-destination"]).arg(&folder))?;
    let archive = folder.join(pack.lines().last().context("npm packed nothing")?.trim());
    let bytes = fs::metadata(&archive).with_context(|| format!("no {}", archive.display()))?.len();
    println!("Packed, it has {bytes} bytes of at most {MAX_PACKED_BYTES}.");
    if bytes > MAX_PACKED_BYTES {
        bail!("the package is {} bytes over its limit", bytes - MAX_PACKED_BYTES);
    }

    let project = folder.join("check");
    if project.exists() {
        fs::remove_dir_all(&project).with_context(|| format!("cannot clear {}", project.display()))?;
    }
    site::copy_folder(&workspace.member(PACKAGE)?.folder.join("check"), &project)?;
    let quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
    process::run(npm_in(&npm, &project).arg("install").args(quiet).arg(&archive))?;
    for script in ["types", "build", "webpack", "node"] {
        process::run(npm_in(&npm, &project).args(["run", script]))?;
    }

    let installed = project.join("node_modules").join("pool-web");
    let mut checks = checks_of(&project.join("dist"), "index.html", Some(CHURN))?;
    if checks.len() < MIN_CHECKS {
        bail!("the Vite project reports {} checks, there are at least {MIN_CHECKS}", checks.len());
    }
    let bundled = project.join("esbuild");
    Tools::find(workspace)?.bundle_plainly(&project.join("small.js"), &bundled.join("small.js"))?;
    let wasm = format!("{MODULE}_bg.wasm");
    // Unlike the others esbuild leaves the file to those who call it.
    copy(&installed.join(&wasm), &bundled.join(&wasm))?;
    for bundler in ["esbuild", "webpack"] {
        let bundled = project.join(bundler);
        copy(&project.join("small.html"), &bundled.join("small.html"))?;
        checks.extend(used_by(bundler, checks_of(&bundled, "small.html", None))?);
    }
    let server = Development::start(&project)?;
    checks.extend(used_by("Vite 7, developing", checks_at(&server.address, "small.html", None))?);

    let plain = folder.join("plain");
    if plain.exists() {
        fs::remove_dir_all(&plain).with_context(|| format!("cannot clear {}", plain.display()))?;
    }
    site::copy_folder(&installed, &plain)?;
    for file in ["plain.html", "plain.js"] {
        copy(&project.join(file), &plain.join(file))?;
    }
    checks.extend(used_by("no bundler", checks_of(&plain, "plain.html", None))?);
    for check in checks {
        println!("ok: {check}");
    }
    Ok(())
}

/// What a page of this bundler reports, unless it is nothing.
fn used_by(bundler: &str, checks: Result<Vec<String>>) -> Result<Vec<String>> {
    let checks = checks.with_context(|| bundler.to_owned())?;
    if checks.is_empty() {
        bail!("{bundler}: no gain was used again");
    }
    Ok(checks.into_iter().map(|check| format!("{bundler}: {check}")).collect())
}

/// The development server of a project, ended when dropped.
struct Development {
    address: String,
    _process: KillOnDrop,
}

impl Development {
    fn start(project: &Path) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg("develop.js").current_dir(project);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = KillOnDrop(child.context("cannot start `node`")?);
        let stdout = child.0.stdout.take().context("the child has no standard output")?;
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        if !address.starts_with("http") {
            bail!("Vite's development server did not start");
        }
        Ok(Self { address: address.trim().into(), _process: child })
    }
}

/// [`checks_at`], of a page in a folder.
fn checks_of(folder: &Path, page: &str, churn: Option<u32>) -> Result<Vec<String>> {
    let server = SiteServer::start(folder, 0)?;
    checks_at(&server.address(), page, churn)
}

/// What a page reports in `window.poolWebCheck`; then, if asked, so many voices in a live context must leave the
/// browser's own count of audio handlers as it was.
fn checks_at(address: &str, page: &str, churn: Option<u32>) -> Result<Vec<String>> {
    let browser = setup::browser()?;
    let driver = Driver::start(&browser.driver)?;
    let session = driver.session(&chromium::measuring_capabilities(&browser.program))?;
    session.open(&format!("{address}{page}"))?;
    let outcome = session.run_async(
        "for (let i = 0; i < 500 && !window.poolWebCheck; i++) await new Promise((done) => setTimeout(done, 20));
         if (!window.poolWebCheck) throw new Error('the page reports nothing');
         return await window.poolWebCheck;",
    );
    let console = session.drain_log("browser").unwrap_or_default();
    let told = || {
        let messages = console.iter().filter_map(|entry| entry["message"].as_str());
        messages.collect::<Vec<_>>().join("\n- ")
    };
    let passed = outcome.with_context(|| format!("{page}; the console says:\n- {}", told()))?;
    let passed = passed.as_array().context("the page reports no list")?;
    let mut passed: Vec<String> = passed.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    if let Some(rounds) = churn {
        session.devtools("Performance.enable", json!({}))?;
        // Once before: what is idle then stays.
        session.run_async("await window.poolWebChurn(1000);")?;
        let before = handlers(&session)?;
        session.run_async(&format!("await window.poolWebChurn({rounds});"))?;
        let after = handlers(&session)?;
        if after > before + HANDLER_TOLERANCE {
            bail!("{rounds} acquires and releases took the browser's handlers from {before} to {after}");
        }
        session.run_async("await window.poolWebForget();")?;
        // It collects the garbage.
        handlers(&session)?;
        if session.run_async("return window.poolWebForgotten();")? != json!(true) {
            bail!("sounds whose leases were forgotten are still leased after a garbage collection");
        }
        passed.push(String::from("leases of sounds and pools that were forgotten come back"));
        passed.push(format!("{rounds} acquires and releases: {before} audio handlers before, {after} after"));
    }
    Ok(passed)
}

/// The browser's own count of what renders audio, after a garbage collection.
fn handlers(session: &Session<'_>) -> Result<f64> {
    for _ in 0..3 {
        session.devtools("HeapProfiler.collectGarbage", json!({}))?;
        // Handlers are let go of by the audio thread, a little later.
        interrupt::sleep(Duration::from_millis(300))?;
    }
    let answer = session.devtools("Performance.getMetrics", json!({}))?;
    let metrics = answer["metrics"].as_array().context("DevTools gave no metrics")?;
    let count = metrics.iter().find(|metric| metric["name"] == "AudioHandlers");
    count
        .and_then(|metric| metric["value"].as_f64())
        .context("this browser does not count its audio handlers")
}

fn npm_in(npm: &Path, folder: &Path) -> Command {
    let mut command = Command::new(npm);
    command.current_dir(folder);
    command
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: an import that still leads into a folder that is not packed.
    #[test]
    fn snippets_are_found_once() {
        let text = "import { a } from './snippets/pool-web-1f/src/glue.js';\n\
                    import * as b from \"./snippets/pool-web-npm-2e/src/error.js\"\n\
                    import * as c from './snippets/pool-web-1f/src/glue.js';\nlet other = './other.js';\n\
                    const keys = { \"./snippets/pool-web-1f/src/glue.js\": c };";
        assert_eq!(
            snippets_in(text),
            ["snippets/pool-web-1f/src/glue.js", "snippets/pool-web-npm-2e/src/error.js"]
        );
    }
}
