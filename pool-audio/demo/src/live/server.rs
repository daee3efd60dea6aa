//! A JACK server of our own, with the driver that needs no sound card.

use std::fmt;
use std::fs::{self, File};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the server may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the server that will be started a name of its own, so that no other is disturbed, by setting the environment's
/// `JACK_DEFAULT_SERVER`.
///
/// # Safety
///
/// There is no other thread.
pub(super) unsafe fn choose_name() -> String {
    let name = format!("{OURS}{}", std::process::id());
    // SAFETY: the caller has said that no other thread could read the environment meanwhile.
    unsafe { std::env::set_var("JACK_DEFAULT_SERVER", &name) };
    name
}

/// What a server says when each of the eight places that a machine has is taken.
const NO_PLACE: &str = "Too many servers already active";

/// How long the place of a server that was killed may take to be freed, twice.
const FREEING: Duration = Duration::from_secs(2);

/// What servers have in their names that were started by such demos; a process's number follows.
const OURS: &str = "pool-audio-";

/// The server; it ends with this, and on Linux with this process, however that ends.
pub(crate) struct Server {
    child: Child,
    name: String,
    log: PathBuf,
    /// It was seen to.
    ended: bool,
    realtime: bool,
}

impl Server {
    /// Starts a server of this name, see [`choose_name`]. With real-time priority if the system grants it, else without.
    /// If there is no place for it, those are freed first that the servers of demos have left which were killed.
    ///
    /// Call it on the main thread: on Linux the server ends with the thread that started it.
    pub(crate) fn start(name: &str, log: &Path, period: u32, rate: NonZeroU32) -> Result<Self, String> {
        // The library would complain until the server is there.
        jack::set_logger(jack::LoggerType::None);
        let start = || {
            Self::try_start(log, name, period, rate, true)
                .or_else(|_| Self::try_start(log, name, period, rate, false))
        };
        start().or_else(|problem| {
            if !problem.contains(NO_PLACE) {
                return Err(problem);
            }
            #[cfg(target_os = "linux")]
            if free_places_of_the_dead(name) {
                return start();
            }
            Err(format!(
                "{problem}\nThere is a place for eight; where fewer run, the others were killed, and \
                 `rm -r /dev/shm/jack*` frees their places once no server runs"
            ))
        })
    }

    fn try_start(
        log: &Path,
        name: &str,
        period: u32,
        rate: NonZeroU32,
        realtime: bool,
    ) -> Result<Self, String> {
        let file =
            File::create(log).map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new("jackd");
        command.args(["-n", name]);
        if realtime {
            command.args(["-R", "-P", "70"]);
        } else {
            command.arg("-r");
        }
        command.args(["-d", "dummy", "-C", "2", "-P", "2"]);
        command.args(["-r", &rate.to_string(), "-p", &period.to_string()]);
        #[cfg(target_os = "linux")]
        end_with_us(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(|error| format!("the JACK server `jackd` cannot be started: {error}"))?;
        let mut server = Self { child, name: name.to_owned(), log: log.to_owned(), ended: false, realtime };
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if server.child.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            if server.takes_clients() {
                return Ok(server);
            }
        }
        let said = server.said();
        Err(format!("the JACK server did not begin; it said:\n{said}"))
    }

    /// Whether it answers.
    fn takes_clients(&self) -> bool {
        let name = format!("{}-probe", self.name);
        jack::Client::new(&name, jack::ClientOptions::NO_START_SERVER).is_ok()
    }

    fn said(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Ends it; gives how many xruns it logged while it ran.
    pub(crate) fn stop(mut self) -> u64 {
        self.end();
        xruns(&self.said())
    }

    /// Ends it at once, even if it is frozen.
    pub(super) fn kill(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Ok(Some(status)) = self.child.try_wait() {
            return self.after(status);
        }
        // Fails if it has ended this moment; nobody else has its number before it is waited for.
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return self.after(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        if let Ok(status) = self.child.wait() {
            self.after(status);
        }
    }

    /// A server that was killed keeps its place among the eight that a machine has, and after eight of them none begins
    /// any more. Only a server of the same name frees it: one begins and ends.
    fn after(&self, status: ExitStatus) {
        if status.code().is_none() {
            free_place(&self.name, || self.takes_clients());
        }
    }
}

/// Frees the place of a dead server: one of the same name begins, and ends once it is `ready`. If that server lives, this
/// one cannot begin, and nothing happens.
fn free_place(name: &str, mut ready: impl FnMut() -> bool) {
    let mut command = Command::new("jackd");
    command.args(["-n", name, "-r", "-d", "dummy"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(target_os = "linux")]
    end_with_us(&mut command);
    let Ok(mut child) = command.spawn() else { return };
    // Told to end before it listens, it would leave the place once more.
    let start = Instant::now();
    while !ready() && start.elapsed() < FREEING && !child.try_wait().is_ok_and(|status| status.is_some()) {
        thread::sleep(Duration::from_millis(50));
    }
    let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
    while start.elapsed() < 2 * FREEING && !child.try_wait().is_ok_and(|status| status.is_some()) {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Where this system's servers write down which places are taken: among other things `USER:NAME:` for each.
#[cfg(target_os = "linux")]
const PLACES: &str = "/dev/shm/jack-shm-registry";

/// Frees the places of demos that have ended, but for the one of this `name`; gives whether there was any. A demo that is
/// killed cannot do so itself, nor can its server if both are killed at once.
#[cfg(target_os = "linux")]
fn free_places_of_the_dead(name: &str) -> bool {
    let mut any = false;
    // A server that is slow to begin may be told to end before it listens.
    for patience in [FREEING / 4, FREEING / 2, FREEING] {
        let places = fs::read(PLACES).unwrap_or_default();
        for dead in String::from_utf8_lossy(&places).split(':').filter(|dead| *dead != name && is_dead(dead))
        {
            // It answers nobody here, as the library knows one name only.
            let begun = Instant::now();
            free_place(dead, || begun.elapsed() > patience);
            any = true;
        }
    }
    any
}

/// Whether this is the name of a demo's server, and that demo's process has ended.
#[cfg(target_os = "linux")]
fn is_dead(name: &str) -> bool {
    name.strip_prefix(OURS)
        .and_then(|process| process.parse::<u32>().ok())
        .is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
}

/// The command's process is told to end when this thread has ended, even if it was killed and can tell nobody.
#[cfg(target_os = "linux")]
fn end_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    let parent = std::process::id();
    let ask = move || {
        // SAFETY: two system calls with numbers for arguments; both may be made between fork and exec.
        let alive = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as libc::c_ulong);
            libc::getppid()
        };
        // It may have ended before the request was made.
        if u32::try_from(alive) == Ok(parent) { Ok(()) } else { Err(std::io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: what runs between fork and exec neither allocates nor locks: system calls and a comparison.
    unsafe { command.pre_exec(ask) };
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Cycles in which a client was not done or the driver was late, by the server's own log: one line each.
fn xruns(log: &str) -> u64 {
    log.lines().filter(|line| line.contains("XRun")).count() as u64
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let priority =
            if self.realtime { "real-time priority" } else { "no real-time priority: the system refused it" };
        let (process, name) = (self.child.id(), &self.name);
        write!(
            f,
            "server   jackd, process {process}, dummy driver, {priority}; `JACK_DEFAULT_SERVER={name} jack_lsp` lists its ports"
        )
    }
}
