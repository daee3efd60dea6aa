//! What the other commands need and a machine with only Rust does not have: looked for first, then
//! installed with a word of what and why, else an error with the remedy.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, find_on_path};
use crate::workspace::Workspace;

/// Makes sure that this toolchain (the running one if `None`) can build for the target.
pub(crate) fn rust_target(target: &str, why: &str) -> Result<()> {
    // Asks the compiler and not rustup, so that a distribution's Rust serves as well.
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", target]);
    if let Ok(folder) = process::output(&mut ask) {
        let core = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("libcore-");
        let has_core = std::fs::read_dir(folder.trim())
            .is_ok_and(|entries| entries.flatten().any(|entry| core(&entry.file_name())));
        if has_core {
            return Ok(());
        }
    }
    println!("Installing the Rust target {target}: {why}.");
    process::run(Command::new("rustup").args(["target", "add", target])).map_err(|error| {
        error.context(format!(
            "the Rust target {target} is missing and rustup could not add it.\n\
             Remedy: install Rust with rustup (https://rustup.rs), then `rustup target add {target}`"
        ))
    })
}

/// The toolchain that has what is not stable yet: Miri, sanitizers, building `std` anew.
pub(crate) const NIGHTLY: &str = "nightly";

/// Makes sure that [`NIGHTLY`] is installed, with these components.
pub(crate) fn nightly_with(components: &[&str], why: &str) -> Result<()> {
    toolchain(NIGHTLY, why)?;
    let mut list = Command::new("rustup");
    let installed = process::output(list.args(["component", "list", "--installed", "--toolchain", NIGHTLY]))?;
    for name in components {
        // `rust-src`, but `miri-x86_64-unknown-linux-gnu`.
        let is_it =
            |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if installed.lines().any(is_it) {
            continue;
        }
        println!("Installing the component {name} of the Rust toolchain {NIGHTLY}: {why}.");
        let mut add = Command::new("rustup");
        process::run(add.args(["component", "add", name, "--toolchain", NIGHTLY])).map_err(|error| {
            error.context(format!(
                "the component {name} of the Rust toolchain {NIGHTLY} is missing and rustup could not add it.\n\
                 Remedy: some nightlies lack it, so `rustup update {NIGHTLY}`, then `rustup component add {name} \
                 --toolchain {NIGHTLY}`"
            ))
        })?;
    }
    Ok(())
}

/// Makes sure that a toolchain is installed.
pub(crate) fn toolchain(name: &str, why: &str) -> Result<()> {
    if process::succeeds(process::cargo_of(name).arg("--version")) {
        return Ok(());
    }
    println!("Installing the Rust toolchain {name}: {why}.");
    process::run(Command::new("rustup").args(["toolchain", "install", name, "--profile", "minimal"])).map_err(
        |error| {
            error.context(format!(
                "the Rust toolchain {name} is missing and rustup could not install it.\n\
                 Remedy: install Rust with rustup (https://rustup.rs), then `rustup toolchain install {name}`"
            ))
        },
    )
}

/// Makes sure that a component of the running toolchain is installed; `probe` is the subcommand of
/// cargo that it brings.
pub(crate) fn component(name: &str, probe: &str, why: &str) -> Result<()> {
    if process::succeeds(process::cargo().args([probe, "--version"])) {
        return Ok(());
    }
    println!("Installing the Rust component {name}: {why}.");
    process::run(Command::new("rustup").args(["component", "add", name])).map_err(|error| {
        error.context(format!(
            "the Rust component {name} is missing and rustup could not add it.\n\
             Remedy: `rustup component add {name}`"
        ))
    })
}

/// Makes sure that `cargo fuzz` runs; the folder to put first on `PATH` for it, if it is our own.
pub(crate) fn cargo_fuzz(workspace: &Workspace) -> Result<Option<PathBuf>> {
    cargo_tool(workspace, "fuzz", "it builds and runs the fuzz targets")
}

/// Makes sure that `cargo NAME` is there, as installed by somebody or under the target folder.
fn cargo_tool(workspace: &Workspace, name: &str, what: &str) -> Result<Option<PathBuf>> {
    let package = format!("cargo-{name}");
    let ours = tools(workspace);
    if ours.join(&package).with_extension(std::env::consts::EXE_EXTENSION).is_file() {
        return Ok(Some(ours));
    }
    if process::succeeds(process::cargo().args([name, "--version"])) {
        return Ok(None);
    }
    build_tool(workspace, &package, what)?;
    Ok(Some(ours))
}

/// Where programs are that were built here because they were missing.
fn tools(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools").join("bin")
}

/// Builds a program of crates.io into [`tools`].
fn build_tool(workspace: &Workspace, package: &str, what: &str) -> Result<()> {
    let root = workspace.target.join("tools");
    println!("Installing {package} under {}: {what}.", root.display());
    let mut install = process::cargo();
    install.args(["install", package, "--locked", "--root"]).arg(&root);
    process::run(&mut install).map_err(|error| {
        error.context(format!(
            "{package} is missing and could not be built.\n\
             Remedy: `cargo install {package}` where crates.io can be reached"
        ))
    })
}

/// Makes sure that there is cargo-mutants; the folder to put on the path if it is one of ours.
pub(crate) fn cargo_mutants(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let what = "it changes the code and sees whether a test notices";
    cargo_tool(workspace, "mutants", what)
}

/// A browser and the driver that speaks WebDriver for it.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    /// The browser itself.
    pub(crate) program: PathBuf,
    /// Its driver; Chromium's is of the same version.
    pub(crate) driver: PathBuf,
}

const CHROMIUM_NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const CHROMIUM_PLACES: &[&str] = &[
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];
const REMEDY: &str = "Remedy: install Chromium and its driver by hand (Debian: `apt-get install chromium \
     chromium-driver`), or name the programs in the variables CHROME and CHROMEDRIVER";

/// Finds Chromium and its driver, or installs them.
pub(crate) fn browser() -> Result<Browser> {
    if let Some(browser) = find_browser()? {
        return Ok(browser);
    }
    let why = "the page and its tests run in a real browser";
    install_packages("Chromium or its driver", why, &["chromium", "chromium-driver"], REMEDY)?;
    match find_browser()? {
        Some(browser) => Ok(browser),
        None => bail!("the packages are installed, but Chromium and its driver are not on PATH.\n{REMEDY}"),
    }
}

const FIREFOX_NAMES: &[&str] = &["firefox-esr", "firefox"];
const FIREFOX_PLACES: &[&str] = &["/Applications/Firefox.app/Contents/MacOS/firefox"];
const FIREFOX_REMEDY: &str = "Remedy: install Firefox by hand (Debian: `apt-get install firefox-esr`), or name the program \
     in the variable FIREFOX";

/// Finds Firefox and its driver, or installs them.
pub(crate) fn firefox(workspace: &Workspace) -> Result<Browser> {
    if find_firefox()?.is_none() {
        install_packages("Firefox", "tests run in a second browser", &["firefox-esr"], FIREFOX_REMEDY)?;
    }
    let Some(program) = find_firefox()? else {
        bail!("the package is installed, but Firefox is not on PATH.\n{FIREFOX_REMEDY}");
    };
    Ok(Browser { program, driver: geckodriver(workspace)? })
}

fn find_firefox() -> Result<Option<PathBuf>> {
    Ok(named_by("FIREFOX")?
        .or_else(|| find_on_path(FIREFOX_NAMES))
        .or_else(|| FIREFOX_PLACES.iter().map(PathBuf::from).find(|path| path.is_file())))
}

/// Finds Firefox's driver, or builds it: Debian has no package of it.
fn geckodriver(workspace: &Workspace) -> Result<PathBuf> {
    const NAME: &str = "geckodriver";
    let ours = tools(workspace).join(NAME).with_extension(std::env::consts::EXE_EXTENSION);
    let found = named_by("GECKODRIVER")?
        .or_else(|| in_folder_of("GECKOWEBDRIVER", NAME))
        .or_else(|| find_on_path(&[NAME]));
    if let Some(driver) = found.or_else(|| ours.is_file().then(|| ours.clone())) {
        return Ok(driver);
    }
    build_tool(workspace, NAME, "it speaks WebDriver for Firefox")?;
    Ok(ours)
}

/// Finds the sound server, or installs it.
pub(crate) fn pulseaudio() -> Result<PathBuf> {
    const NAME: &str = "pulseaudio";
    const REMEDY: &str = "Remedy: install PulseAudio by hand (Debian: `apt-get install pulseaudio`)";
    if let Some(program) = find_on_path(&[NAME]) {
        return Ok(program);
    }
    let why = "Firefox plays nothing without a sound server, and this one needs no sound card";
    install_packages("the sound server PulseAudio", why, &[NAME], REMEDY)?;
    match find_on_path(&[NAME]) {
        Some(program) => Ok(program),
        None => bail!("the package is installed, but {NAME} is not on PATH.\n{REMEDY}"),
    }
}

/// Finds the emulator of Arm microcontrollers, or installs it.
pub(crate) fn qemu_arm() -> Result<PathBuf> {
    const QEMU: &str = "qemu-system-arm";
    const REMEDY: &str = "Remedy: install QEMU by hand (Debian: `apt-get install qemu-system-arm`, macOS: `brew install qemu`)";
    if let Some(qemu) = find_on_path(&[QEMU]) {
        return Ok(qemu);
    }
    install_packages(QEMU, "it emulates the microcontrollers that checks run on", &[QEMU], REMEDY)?;
    match find_on_path(&[QEMU]) {
        Some(qemu) => Ok(qemu),
        None => bail!("the package is installed, but {QEMU} is not on PATH.\n{REMEDY}"),
    }
}

/// Finds valgrind, or installs it.
pub(crate) fn valgrind() -> Result<PathBuf> {
    if let Some(program) = find_on_path(&["valgrind"]) {
        return Ok(program);
    }
    let remedy = "Remedy: install valgrind by hand, where there is one for this system";
    install_packages("valgrind", "it counts instructions", &["valgrind"], remedy)?;
    find_on_path(&["valgrind"]).context("the package is installed, but valgrind is not on PATH")
}

/// Makes sure that a JACK server can be started and its clients built.
pub(crate) fn jack_server() -> Result<()> {
    const REMEDY: &str =
        "Remedy: install JACK by hand (Debian: `apt-get install jackd2 libjack-jackd2-dev pkg-config`)";
    if find_on_path(&["jackd"]).is_none() {
        let why = "the demo plays through a real audio server, with a driver that needs no sound card";
        install_packages("the JACK server jackd", why, &["jackd2"], REMEDY)?;
    }
    headers("jack", "libjack-jackd2-dev", "the demo is a client of the JACK server", REMEDY)
}

/// Makes sure that `jack_lsp` is there, with which tests see whether others can connect to the demo's server. Some systems
/// have it in a package of its own.
pub(crate) fn jack_tools() -> Result<()> {
    const TOOL: &str = "jack_lsp";
    if find_on_path(&[TOOL]).is_some() {
        return Ok(());
    }
    let remedy =
        "Remedy: install JACK's example tools by hand (Debian: `apt-get install jack-example-tools`)";
    install_packages(
        TOOL,
        "tests connect to the demo's audio server with it",
        &["jack-example-tools"],
        remedy,
    )?;
    find_on_path(&[TOOL]).map(drop).context("the package is installed, but jack_lsp is not on PATH")
}

/// Makes sure that everything of this workspace can be built, with all features: on Linux that takes headers of the
/// system's sound libraries.
pub(crate) fn sound_headers() -> Result<()> {
    const REMEDY: &str = "Remedy: install the headers by hand (Debian: `apt-get install libasound2-dev libjack-jackd2-dev pkg-config`)";
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    jack_server()?;
    headers("alsa", "libasound2-dev", "the example on cpal is built with them", REMEDY)
}

/// Makes sure that pkg-config finds a library.
fn headers(library: &str, package: &str, why: &str, remedy: &str) -> Result<()> {
    let found = || process::succeeds(Command::new("pkg-config").args(["--exists", library]));
    if found() {
        return Ok(());
    }
    install_packages(&format!("what pkg-config knows as {library}"), why, &[package, "pkg-config"], remedy)?;
    if !found() {
        bail!("the packages are installed, but pkg-config does not find {library}.\n{remedy}");
    }
    Ok(())
}

/// Finds npm, or installs it with Node.
pub(crate) fn npm() -> Result<PathBuf> {
    if let Some(program) = find_on_path(&["npm"]) {
        return Ok(program);
    }
    let remedy = "Remedy: install Node 20.19 or later, with npm";
    install_packages("npm", "it packs the package and installs it in a project", &["nodejs", "npm"], remedy)?;
    find_on_path(&["npm"]).context("the package is installed, but npm is not on PATH")
}

/// Installs packages of the system, saying what is missing and why it is wanted.
fn install_packages(what: &str, why: &str, packages: &[&str], remedy: &str) -> Result<()> {
    println!("{what} is missing: {why}.");
    let (Some(apt), true) = (find_on_path(&["apt-get"]), cfg!(target_os = "linux")) else {
        bail!("{what} is missing, and this machine has no apt-get to install it.\n{remedy}");
    };
    let Some(as_root) = root_prefix() else {
        bail!(
            "{what} is missing, and installing it needs root: we are not root, and `sudo -n` asks for a \
             password.\n{remedy}"
        );
    };
    println!("Installing with apt-get: {}.", packages.join(", "));
    apt_get(as_root, &apt, &["update", "-q"])
        .and_then(|()| {
            apt_get(as_root, &apt, &[&["install", "-y", "--no-install-recommends"], packages].concat())
        })
        .map_err(|error| error.context(remedy.to_owned()))
}

fn apt_get(as_root: &[&str], apt: &Path, args: &[&str]) -> Result<()> {
    let mut command = Command::new("env");
    if let Some((sudo, options)) = as_root.split_first() {
        command = Command::new(sudo);
        // Named again: sudo drops variables that are set before it.
        command.args(options).arg("env");
    }
    process::run(command.arg("DEBIAN_FRONTEND=noninteractive").arg(apt).args(args))
}

/// What to write before a command that needs root, if there is a way.
fn root_prefix() -> Option<&'static [&'static str]> {
    if is_root() {
        Some(&[])
    } else if process::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

/// Whether we are root (Chromium then refuses its sandbox).
pub(crate) fn is_root() -> bool {
    cfg!(unix) && process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn find_browser() -> Result<Option<Browser>> {
    let chromium = named_by("CHROME")?
        .or_else(|| find_on_path(CHROMIUM_NAMES))
        .or_else(|| CHROMIUM_PLACES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let driver = named_by("CHROMEDRIVER")?
        .or_else(|| in_folder_of("CHROMEWEBDRIVER", "chromedriver"))
        .or_else(|| find_on_path(&["chromedriver"]));
    Ok(chromium.zip(driver).map(|(program, driver)| Browser { program, driver }))
}

/// A driver in the folder that a variable names, as GitHub's machines have it.
fn in_folder_of(variable: &str, name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(variable)?);
    Some(folder.join(name).with_extension(std::env::consts::EXE_EXTENSION)).filter(|path| path.is_file())
}

/// The program that an environment variable names; an error if it names none that exists.
fn named_by(variable: &str) -> Result<Option<PathBuf>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(&value);
    if !path.is_file() {
        bail!("the variable {variable} names `{}`, and no such file exists", path.display());
    }
    Ok(Some(path))
}
