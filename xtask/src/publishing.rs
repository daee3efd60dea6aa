//! Is what would be published complete, and is the oldest Rust that it promises stated once and true?

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::process;
use crate::setup;
use crate::workspace::{Package, Workspace};

/// Checks what crates.io asks for, and that the archive holds what the metadata names.
pub(crate) fn metadata(workspace: &Workspace) -> Result<()> {
    let mut problems = Vec::new();
    for package in workspace.published() {
        let mut list = process::cargo();
        list.current_dir(&workspace.root);
        list.args(["package", "--list", "--allow-dirty", "--package", &package.name]);
        let files = process::output(&mut list)?;
        let files: Vec<&str> = files.lines().collect();
        let found = package_problems(&package.raw, &files);
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", package.name)));
        println!("{}: {} files", package.name, files.len());
    }
    if workspace.published().next().is_none() {
        problems.push("no package may be published".into());
    }
    fail_with("the packages are not ready for publishing", &problems)
}

fn fail_with(what: &str, problems: &[String]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{what}:\n- {}", problems.join("\n- "));
}

fn package_problems(package: &Value, files: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for key in ["description", "license", "readme", "rust_version"] {
        if package[key].as_str().is_none_or(str::is_empty) {
            problems.push(format!("`{key}` is missing"));
        }
    }
    for key in ["keywords", "categories"] {
        // Five is what crates.io takes.
        if package[key].as_array().is_none_or(|list| list.is_empty() || list.len() > 5) {
            problems.push(format!("`{key}` must hold one to five words"));
        }
    }
    let mut wanted = vec!["Cargo.toml", "src/lib.rs", "LICENSE-MIT", "LICENSE-APACHE"];
    wanted.extend(package["readme"].as_str());
    let missing = wanted.into_iter().filter(|file| !files.contains(file));
    problems.extend(missing.map(|file| format!("the archive lacks `{file}`")));
    problems
}

/// Builds the published packages with the oldest Rust that they promise.
pub(crate) fn oldest_rust(workspace: &Workspace) -> Result<()> {
    let version = promised_rust(workspace)?;
    stated_once(workspace, version)?;
    setup::toolchain(version, "the packages promise to build with it")?;
    let mut check = process::cargo_of(version);
    check.current_dir(&workspace.root).args(["check", "--all-features"]);
    for package in workspace.published() {
        check.args(["--package", &package.name]);
    }
    // Apart: the artifacts of another compiler would only make the main folder larger.
    check.arg("--target-dir").arg(workspace.target.join("oldest-rust"));
    process::run(&mut check)
}

fn promised_rust(workspace: &Workspace) -> Result<&str> {
    let versions = |package: &'_ Package| package.rust_version.clone();
    let mut promised: Vec<String> = workspace.members.iter().filter_map(versions).collect();
    promised.dedup();
    if promised.len() != 1 {
        bail!("the packages promise different oldest Rusts: {}", promised.join(", "));
    }
    let package = workspace.members.iter().find_map(|package| package.rust_version.as_deref());
    package.ok_or_else(|| anyhow!("no package promises an oldest Rust"))
}

/// One fact, one place: the version stands in the root manifest and nowhere else.
fn stated_once(workspace: &Workspace, version: &str) -> Result<()> {
    let mut list = std::process::Command::new("git");
    list.current_dir(&workspace.root).args(["ls-files", "*.toml", "*.md", "*.rs", "*.yml"]);
    let mut places = Vec::new();
    for name in process::output(&mut list)?.lines() {
        let path = workspace.root.join(name);
        // A file that is deleted but not yet committed is still listed.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lines = text.lines().enumerate().filter(|(_, line)| states_rust(line, version));
        places.extend(lines.map(|(index, _)| format!("{name}:{}", index + 1)));
    }
    let [place] = places.as_slice() else {
        return fail_with(
            &format!("Rust {version} must be stated once, it is in {} places", places.len()),
            &places,
        )
        .context("remove all but the line of the root Cargo.toml");
    };
    if !place.starts_with("Cargo.toml:") {
        bail!("Rust {version} is stated in {place} and not in the root Cargo.toml");
    }
    Ok(())
}

/// Whether a line tells the version of Rust, and not the same digits of something else.
fn states_rust(line: &str, version: &str) -> bool {
    let lower = line.to_lowercase();
    let about_rust = ["rust", "msrv"].iter().any(|word| lower.contains(word));
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit() || c == '.');
    let mut hits = line.match_indices(version);
    let whole = hits.any(|(at, hit)| {
        let after = line[at + hit.len()..].chars().next().filter(char::is_ascii_digit);
        !digit(line[..at].chars().next_back()) && !digit(after)
    });
    about_rust && whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_package_lacks_is_told() {
        let complete = json!({
            "description": "x", "license": "MIT", "readme": "README.md", "rust_version": "1.2",
            "keywords": ["a"], "categories": ["b"],
        });
        let files = ["Cargo.toml", "README.md", "src/lib.rs", "LICENSE-MIT", "LICENSE-APACHE"];
        assert_eq!(package_problems(&complete, &files), Vec::<String>::new());
        for key in ["description", "license", "keywords", "categories", "rust_version"] {
            let mut package = complete.clone();
            package[key] = Value::Null;
            assert_eq!(package_problems(&package, &files).len(), 1, "{key}");
        }
        let mut crowded = complete.clone();
        crowded["keywords"] = json!(["a", "b", "c", "d", "e", "f"]);
        assert_eq!(package_problems(&crowded, &files).len(), 1);
        assert_eq!(package_problems(&complete, &files[..3]).len(), 2);
    }

    /// Catches: a second statement overlooked, and figures of measurements taken for one.
    #[test]
    fn a_statement_of_the_version_is_recognised() {
        assert!(states_rust(r#"rust-version = "7.88""#, "7.88"));
        assert!(states_rust("It needs Rust 7.88.", "7.88"));
        assert!(states_rust("MSRV: 7.88.0", "7.88"));
        assert!(!states_rust("the pool took 7.88 ns", "7.88"));
        assert!(!states_rust("Rust took 17.88 s, then 7.881 s", "7.88"));
    }
}
