//! Which version of each peer was measured: read from the lock file that the build used.

/// The lock file, as it was when this was compiled.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The version of a package that this package depends on.
pub(crate) fn version_of(package: &str) -> Option<String> {
    version_in(LOCK, env!("CARGO_PKG_NAME"), package)
}

fn version_in(lock: &str, user: &str, package: &str) -> Option<String> {
    let block_of = |name: &str, version: Option<&str>| {
        lock.split("[[package]]").find(|block| {
            field(block, "name") == Some(name)
                && version.is_none_or(|version| field(block, "version") == Some(version))
        })
    };
    // Where the lock file has several versions, the user's list of dependencies says which: `"name version"`.
    let dependencies = block_of(user, None)?.split_once("dependencies = [")?.1;
    let dependency = dependencies
        .lines()
        .map(|line| line.trim().trim_matches([',', '"']))
        .find(|line| line.split(' ').next() == Some(package))?;
    let block = block_of(package, dependency.split(' ').nth(1))?;
    field(block, "version").map(str::to_owned)
}

/// The value of `key = "value"`.
fn field<'b>(block: &'b str, key: &str) -> Option<&'b str> {
    let value = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
    Some(value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: the version of another package's dependency of the same name.
    #[test]
    fn of_several_versions_the_one_in_use_is_told() {
        let lock = "[[package]]\nname = \"pool-bench\"\nversion = \"0.1.0\"\ndependencies = [\n \"one\",\n \"two 2.0.0\",\n]\n\n\
                    [[package]]\nname = \"one\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"two\"\nversion = \"1.5.0\"\n\n\
                    [[package]]\nname = \"two\"\nversion = \"2.0.0\"\n";
        assert_eq!(version_in(lock, "pool-bench", "one").as_deref(), Some("1.0.0"));
        assert_eq!(version_in(lock, "pool-bench", "two").as_deref(), Some("2.0.0"));
        assert_eq!(version_in(lock, "pool-bench", "tw"), None);
    }
}
