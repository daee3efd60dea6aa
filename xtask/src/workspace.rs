//! Facts about the workspace, asked from cargo so that none is written down twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::process;

/// The workspace as `cargo metadata` tells it.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds; `CARGO_TARGET_DIR` is honoured.
    pub(crate) target: PathBuf,
    /// The packages of the workspace.
    pub(crate) members: Vec<Package>,
    /// Versions of every resolved package by name.
    versions: BTreeMap<String, Vec<String>>,
}

/// One package of the workspace.
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// The folder of its `Cargo.toml`.
    pub(crate) folder: PathBuf,
    /// Features that may be switched: all but `default`, optional dependencies apart.
    pub(crate) features: Vec<String>,
    /// Its binaries.
    pub(crate) binaries: Vec<String>,
    /// Whether it may be published.
    pub(crate) published: bool,
    /// The oldest Rust that it promises to build with.
    pub(crate) rust_version: Option<String>,
    /// The whole entry.
    pub(crate) raw: Value,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        // This package's own manifest, not the current folder: `cargo xtask` works from anywhere. `cargo run` tells
        // it; what was compiled in would be wrong in a checkout that shares its target folder with another.
        let folder = std::env::var_os("CARGO_MANIFEST_DIR");
        let folder = folder.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let manifest = Path::new(&folder).join("Cargo.toml");
        let mut command = process::cargo();
        command.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let metadata: Value = serde_json::from_str(&process::output(&mut command)?)
            .context("`cargo metadata` printed no JSON")?;
        Self::from_metadata(&metadata)
    }

    fn from_metadata(metadata: &Value) -> Result<Self> {
        let members: Vec<&str> =
            array(metadata, "workspace_members")?.iter().filter_map(Value::as_str).collect();
        let mut workspace = Self {
            root: text(metadata, "workspace_root")?.into(),
            target: text(metadata, "target_directory")?.into(),
            members: Vec::new(),
            versions: BTreeMap::new(),
        };
        for package in array(metadata, "packages")? {
            workspace
                .versions
                .entry(text(package, "name")?.to_owned())
                .or_default()
                .push(text(package, "version")?.to_owned());
            if members.contains(&text(package, "id")?) {
                workspace.members.push(Package::from_metadata(package)?);
            }
        }
        Ok(workspace)
    }

    /// The member of this name.
    pub(crate) fn member(&self, name: &str) -> Result<&Package> {
        self.members
            .iter()
            .find(|package| package.name == name)
            .ok_or_else(|| anyhow!("the workspace has no package `{name}`"))
    }

    /// The members that may be published.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter(|package| package.published)
    }

    /// The one resolved version of a dependency.
    pub(crate) fn version_of(&self, dependency: &str) -> Result<&str> {
        match self.versions.get(dependency).map(Vec::as_slice) {
            Some([version]) => Ok(version),
            Some(versions) => bail!("the lock file has {dependency} in versions {}", versions.join(", ")),
            None => bail!("the lock file has no {dependency}"),
        }
    }

    /// Where the demos leave their results.
    pub(crate) fn demo_folder(&self) -> PathBuf {
        self.target.join("demo")
    }

    /// `path` as seen from the root, for messages.
    pub(crate) fn shown<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

impl Package {
    fn from_metadata(package: &Value) -> Result<Self> {
        let manifest = Path::new(text(package, "manifest_path")?);
        let features = package["features"].as_object().context("a package without `features`")?;
        let binaries = array(package, "targets")?.iter().filter(|target| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
        });
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            folder: manifest.parent().unwrap_or(manifest).to_owned(),
            features: features.keys().filter(|name| *name != "default").cloned().collect(),
            binaries: binaries
                .map(|target| text(target, "name").map(str::to_owned))
                .collect::<Result<_>>()?,
            // `null` is "anywhere", `[]` is `publish = false`.
            published: package["publish"].is_null(),
            rust_version: package["rust_version"].as_str().map(str::to_owned),
            raw: package.clone(),
        })
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value[key].as_str().ok_or_else(|| anyhow!("`cargo metadata` has no text `{key}`"))
}

fn array<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
    value[key].as_array().ok_or_else(|| anyhow!("`cargo metadata` has no array `{key}`"))
}
