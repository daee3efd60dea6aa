//! Every test: on the host, and in browsers with this program as cargo's runner.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::args::TestScope;
use crate::chromium;
use crate::firefox;
use crate::process;
use crate::pulse::SoundServer;
use crate::room;
use crate::setup;
use crate::site::WASM_TARGET;
use crate::workspace::Workspace;

/// The package whose tests need a browser.
const BROWSER_PACKAGE: &str = "pool-web";
/// Seconds that the tests of one binary may take in the browser.
const BROWSER_TIMEOUT: &str = "300";
/// Seconds that the driver may take to listen on a busy machine.
const DRIVER_TIMEOUT: &str = "30";

/// What all of it builds, tools among it: measured on Linux, with a target folder that was empty.
const BUILT_GIB: f64 = 3.2;

/// Runs the tests.
pub(crate) fn run(workspace: &Workspace, scope: TestScope) -> Result<()> {
    if scope == TestScope::All {
        room::for_builds(workspace, "`cargo xtask test`", BUILT_GIB)?;
    }
    if matches!(scope, TestScope::All | TestScope::Host) {
        println!("\nTests on the host");
        host(workspace)?;
    }
    if matches!(scope, TestScope::All | TestScope::Browser) {
        println!("\nTests in headless Chromium");
        run_counting(&mut in_browser(workspace, "browser", &[])?)?;
    }
    if scope == TestScope::Firefox {
        in_firefox(workspace)?;
    }
    Ok(())
}

fn host(workspace: &Workspace) -> Result<()> {
    setup::sound_headers()?;
    if cfg!(target_os = "linux") {
        setup::jack_tools()?;
    }
    let mut test = process::cargo();
    test.current_dir(&workspace.root).args(["test", "--workspace", "--all-features"]);
    test.arg("--target-dir").arg(&workspace.target);
    run_counting(&mut test)?;
    // The bookkeeping of the web crate is for everywhere; with all features it could lean on web-sys unseen.
    let mut bare = process::cargo();
    bare.current_dir(&workspace.root);
    bare.args(["test", "--package", BROWSER_PACKAGE, "--no-default-features", "--lib"]);
    bare.arg("--target-dir").arg(&workspace.target);
    run_counting(&mut bare)
}

/// The command that runs one of the test targets of the web crate in Chromium.
pub(crate) fn in_browser(workspace: &Workspace, target: &str, words: &[&str]) -> Result<Command> {
    let browser = setup::browser()?;
    let mut test = browser_tests(workspace, target, &chromium::test_capabilities(&browser.program))?;
    test.args(words).env("CHROMEDRIVER", &browser.driver);
    Ok(test)
}

/// Runs the browser's tests in Firefox.
pub(crate) fn in_firefox(workspace: &Workspace) -> Result<()> {
    println!("\nTests in headless Firefox");
    let browser = setup::firefox(workspace)?;
    // It lives as long as the tests run.
    let sound = if cfg!(target_os = "linux") { Some(SoundServer::start(workspace)?) } else { None };
    let mut test = browser_tests(workspace, "browser", &firefox::test_capabilities(&browser.program))?;
    test.env("GECKODRIVER", &browser.driver);
    if let Some(sound) = &sound {
        test.envs(sound.variables());
    }
    run_counting(&mut test)
}

/// The command that runs tests with these capabilities, but for the driver.
fn browser_tests(workspace: &Workspace, target: &str, capabilities: &Value) -> Result<Command> {
    setup::rust_target(WASM_TARGET, "the browser's tests are WebAssembly")?;
    let path = workspace.target.join("webdriver.json");
    fs::create_dir_all(&workspace.target)?;
    fs::write(&path, serde_json::to_string_pretty(capabilities)?)
        .with_context(|| format!("cannot write {}", path.display()))?;

    let ourselves = std::env::current_exe().context("this program does not know its own path")?;
    // As an array a path with spaces stays one word; JSON's strings are TOML's.
    let runner = serde_json::json!([ourselves, "wasm-runner"]);
    let mut test = process::cargo();
    test.current_dir(&workspace.root);
    test.args(["test", "--package", BROWSER_PACKAGE, "--all-features", "--test", target]);
    test.args(["--target", WASM_TARGET, "--target-dir"]).arg(&workspace.target);
    test.arg("--config").arg(format!("target.{WASM_TARGET}.runner={runner}"));
    for driver in ["CHROMEDRIVER", "GECKODRIVER", "SAFARIDRIVER", "MSEDGEDRIVER"] {
        // The runner takes the first of these that is there, and the caller sets the one that is meant.
        test.env_remove(driver).env_remove(format!("{driver}_REMOTE"));
    }
    test.env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &path)
        .env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_TIMEOUT)
        .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", DRIVER_TIMEOUT)
        .env("WASM_BINDGEN_USE_BROWSER", "1");
    Ok(test)
}

/// Runs a test command; an error too if no test ran, which every runner takes for a success.
pub(crate) fn run_counting(command: &mut Command) -> Result<()> {
    let mut passed = 0;
    process::run_looking(command, |line| passed += passed_in(line).unwrap_or(0))?;
    if passed == 0 {
        bail!("`{}` ran no test", process::shown(command));
    }
    println!("{passed} tests passed.");
    Ok(())
}

/// `test result: ok. 12 passed; 0 failed; ...`
fn passed_in(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("test result: ")?;
    let (count, _) = rest.split_once(" passed")?;
    count.rsplit(' ').next()?.parse().ok()
}

/// Cargo's runner of WASM tests: the library of wasm-bindgen's version in the lock file.
pub(crate) fn wasm_runner(arguments: Vec<OsString>) -> Result<()> {
    let program = OsString::from("wasm-bindgen-test-runner");
    let arguments = std::iter::once(program).chain(arguments);
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a suite that ran nothing and counts as passed, or one that ran and counts as nothing.
    #[test]
    fn passed_tests_are_counted() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 1 ignored"), Some(12));
        assert_eq!(passed_in("test result: ok. 0 passed; 0 failed"), Some(0));
        assert_eq!(passed_in("test clock::ticks ... ok"), None);
    }
}
