//! A sound server without a sound card: [`SoundServer`]. Firefox runs no live audio without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;
use crate::process::{self, KillOnDrop};
use crate::setup;
use crate::workspace::Workspace;

/// How long the server may take to listen on a busy machine.
const START: Duration = Duration::from_secs(20);
/// The name of a socket has a fixed place in the kernel, of 108 bytes on Linux, and one is its end.
const LONGEST_SOCKET: usize = 107;

/// PulseAudio with a sink that plays to nobody, for this program's children only. It ends when this is dropped.
pub(crate) struct SoundServer {
    _server: KillOnDrop,
    folder: PathBuf,
}

impl SoundServer {
    /// Starts it and waits until it listens.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let program = setup::pulseaudio()?;
        let folder = workspace.target.join("pulse");
        make_private(&folder)?;
        let socket = socket_in(&folder);
        let length = socket.as_os_str().len();
        if length > LONGEST_SOCKET {
            bail!(
                "the sound server cannot listen at {}, a path of {length} bytes.\n\
                 Remedy: name a folder with a shorter path in the variable CARGO_TARGET_DIR",
                socket.display()
            );
        }
        if socket.exists() {
            // Of a server that was killed: a new one that listens must not be mistaken for it.
            fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
        }
        let log = folder.join("log");
        let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command.args([
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--disable-shm=yes",
        ]);
        // At the rate of the tests' sounds, so that nothing is resampled.
        command.arg("--load=module-null-sink rate=48000");
        // Whoever can reach a socket in a private folder is who started it.
        command
            .arg(format!("--load=module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()));
        command.envs(private_variables(&folder)).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        println!("$ {}", process::shown(&command));
        let mut server = KillOnDrop(command.spawn().context("cannot start the sound server")?);
        let start = Instant::now();
        while !listens(&socket) {
            if let Some(status) = server.0.try_wait()? {
                bail!(
                    "the sound server ended with {status}:\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            if start.elapsed() > START {
                bail!("the sound server does not listen; see {}", log.display());
            }
            interrupt::sleep(interrupt::POLL)?;
        }
        Ok(Self { _server: server, folder })
    }

    /// What a program's environment must hold to play here.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = private_variables(&self.folder);
        variables.push(("PULSE_SERVER", format!("unix:{}", socket_in(&self.folder).display())));
        variables
    }
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join("native")
}

/// Keeps the server and its clients out of the user's own files.
fn private_variables(folder: &Path) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.display().to_string();
    vec![
        ("PULSE_RUNTIME_PATH", path(folder)),
        ("PULSE_STATE_PATH", path(folder)),
        ("PULSE_COOKIE", path(&folder.join("cookie"))),
    ]
}

fn make_private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| {
            // The server refuses a folder that others can look into.
            #[cfg(unix)]
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            Ok(())
        })
        .with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(unix)]
fn listens(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(not(unix))]
fn listens(_: &Path) -> bool {
    false
}
