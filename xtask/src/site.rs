//! The site of the demo: WASM, bindings, page and audio, put together under the target folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// The target that browsers run.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// The package of the page.
pub(crate) const PACKAGE: &str = "pool-web-demo";
/// The module's name; the page imports `pkg/pool_web_demo.js`.
const MODULE: &str = "pool_web_demo";
/// The profile that it is built with.
pub(crate) const PROFILE: &str = "web";
/// The WASM may have this many bytes before compression.
const MAX_WASM_BYTES: u64 = 300_000;

/// Builds everything and returns the folder to serve.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    check_bindgen_versions(workspace)?;
    setup::rust_target(WASM_TARGET, "the demo runs in the browser as WebAssembly")?;

    let mut build = process::cargo();
    build.current_dir(&workspace.root);
    build.args(["build", "--package", PACKAGE, "--target", WASM_TARGET, "--profile", PROFILE]);
    // The alias runs us from anywhere and with any target folder; the child must build into the same.
    build.arg("--target-dir").arg(&workspace.target);
    process::run(&mut build)?;

    let site = workspace.demo_folder().join("site");
    if site.exists() {
        // A file that the page no longer has must not be served from an earlier build.
        fs::remove_dir_all(&site).with_context(|| format!("cannot clear {}", site.display()))?;
    }
    let pages = workspace.member(PACKAGE)?.folder.join("www");
    if !pages.join("index.html").is_file() {
        bail!("the demo has no page: {} is missing", pages.join("index.html").display());
    }
    copy_folder(&pages, &site)?;
    copy_kit(&workspace.root.join("audio"), &site.join("audio"))?;
    generate_bindings(workspace, &site.join("pkg"))?;
    Ok(site)
}

/// The generator refuses WASM of another version with a long text; the reason is short.
pub(crate) fn check_bindgen_versions(workspace: &Workspace) -> Result<()> {
    let (library, generator) =
        (workspace.version_of("wasm-bindgen")?, workspace.version_of("wasm-bindgen-cli")?);
    if library != generator {
        bail!(
            "the lock file has wasm-bindgen {library} but wasm-bindgen-cli {generator}; bindings need the same.\n\
             Remedy: `cargo update --package wasm-bindgen-cli --precise {library}`"
        );
    }
    Ok(())
}

fn generate_bindings(workspace: &Workspace, pkg: &Path) -> Result<()> {
    let wasm = workspace.target.join(WASM_TARGET).join(PROFILE).join(format!("{MODULE}.wasm"));
    bindings(&wasm, pkg, MODULE, "web")?;
    let generated = pkg.join(format!("{MODULE}_bg.wasm"));
    let bytes = fs::metadata(&generated).with_context(|| format!("no {}", generated.display()))?.len();
    println!("The WASM has {bytes} bytes of at most {MAX_WASM_BYTES}.");
    check_wasm_size(bytes)
}

/// Generates the bindings of `wasm` into the folder `pkg`, as `module`, for one of wasm-bindgen's targets.
pub(crate) fn bindings(wasm: &Path, pkg: &Path, module: &str, target: &str) -> Result<()> {
    let arguments: Vec<std::ffi::OsString> = vec![
        "wasm-bindgen".into(),
        wasm.into(),
        "--target".into(),
        target.into(),
        "--out-dir".into(),
        pkg.into(),
        "--out-name".into(),
        module.into(),
        "--no-typescript".into(),
        "--remove-name-section".into(),
        "--remove-producers-section".into(),
    ];
    wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(arguments)
        .with_context(|| format!("cannot generate bindings of {}", wasm.display()))
}

fn check_wasm_size(bytes: u64) -> Result<()> {
    if bytes > MAX_WASM_BYTES {
        bail!(
            "the WASM has {bytes} bytes, {} over the limit of {MAX_WASM_BYTES}.\n\
             Remedy: look for formatting, panics and unused features with a size profiler",
            bytes - MAX_WASM_BYTES
        );
    }
    Ok(())
}

/// Copies the recordings and lists them for the page.
fn copy_kit(from: &Path, to: &Path) -> Result<()> {
    let mut names = Vec::new();
    let entries = fs::read_dir(from).with_context(|| format!("no recordings in {}", from.display()))?;
    fs::create_dir_all(to)?;
    for entry in entries {
        let path = entry?.path();
        let (Some(name), Some("flac")) =
            (path.file_name().and_then(|name| name.to_str()), path.extension().and_then(|end| end.to_str()))
        else {
            continue;
        };
        fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
        names.push(name.to_owned());
    }
    if names.is_empty() {
        bail!("no .flac file in {}", from.display());
    }
    names.sort();
    fs::write(to.join("index.json"), serde_json::to_string_pretty(&names)?)?;
    Ok(())
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a size check that cannot fail.
    #[test]
    fn wasm_that_is_too_large_is_refused() {
        assert!(check_wasm_size(MAX_WASM_BYTES).is_ok());
        let error = check_wasm_size(MAX_WASM_BYTES + 1).unwrap_err().to_string();
        assert!(error.contains("300001"), "{error}");
    }
}
