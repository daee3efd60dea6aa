//! A server of one folder on 127.0.0.1.
//!
//! By hand and not by `tiny_http`: in its pool of threads a connection can be left waiting for as long as
//! four others are kept alive, and then the page never finishes loading. Here each connection has its
//! thread, and ends with its one answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::interrupt;

/// How many ports from the first on are tried.
const TRIES: u16 = 20;
/// How long a connection may stand still: browsers open some that they never use.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any browser sends before the empty line.
const MAX_REQUEST: u64 = 64 * 1024;

/// A running server, ended when dropped.
pub(crate) struct SiteServer {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SiteServer {
    /// Serves `folder` on `first_port`, or the next one that is free; port 0 is any free one.
    pub(crate) fn start(folder: &Path, first_port: u16) -> Result<Self> {
        let listener = listen(first_port)?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let (ending, folder) = (Arc::clone(&ended), Arc::<Path>::from(folder));
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if ending.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(connection), folder) = (connection, Arc::clone(&folder)) else { continue };
                // A browser that goes away mid-answer is no matter of ours.
                std::thread::spawn(move || drop(serve(&connection, &folder)));
            }
        });
        Ok(Self { address, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves until Ctrl-C.
    pub(crate) fn wait(self) {
        while !interrupt::requested() {
            std::thread::sleep(interrupt::POLL);
        }
    }
}

impl Drop for SiteServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection; if nothing listens any more, it has ended.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was printed already.
            drop(thread.join());
        }
    }
}

fn listen(first_port: u16) -> Result<TcpListener> {
    let mut refusal = None;
    for offset in 0..TRIES {
        let Some(port) = first_port.checked_add(offset) else { break };
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => refusal = Some(error),
        }
    }
    let last = first_port.saturating_add(TRIES - 1);
    let reason = refusal.map_or_else(String::new, |error| format!(" ({error})"));
    Err(anyhow!("no port from {first_port} to {last} is free{reason}.\nRemedy: name another with `--port N`"))
}

/// Reads one request and answers it.
fn serve(mut connection: &TcpStream, folder: &Path) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(connection.take(MAX_REQUEST)).lines();
    let Some(request) = lines.next().transpose()? else { return Ok(()) };
    // The headers are read to their end, so that closing does not cut the answer off.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    let answer = match (words.next(), words.next()) {
        (Some("GET"), Some(url)) => Answer::to(url, folder),
        _ => Answer::plain("405 Method Not Allowed", "only GET\n"),
    };
    connection.write_all(answer.head().as_bytes())?;
    connection.write_all(&answer.body)
}

struct Answer {
    status: &'static str,
    mime_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn to(url: &str, folder: &Path) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        match file_of(path, folder).and_then(|file| Some((std::fs::read(&file).ok()?, file))) {
            Some((body, file)) => Self { status: "200 OK", mime_type: mime_type(&file), body },
            None => Self::plain("404 Not Found", "there is no such file\n"),
        }
    }

    fn plain(status: &'static str, text: &str) -> Self {
        Self { status, mime_type: "text/plain; charset=utf-8", body: text.into() }
    }

    fn head(&self) -> String {
        // Opener and embedder policy together isolate the page, which is what SharedArrayBuffer asks for.
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            self.mime_type,
            self.body.len()
        )
    }
}

/// The file that the path of a URL names, if it stays inside the folder.
fn file_of(url_path: &str, folder: &Path) -> Option<PathBuf> {
    let decoded = percent_decoded(url_path.strip_prefix('/')?)?;
    let relative = Path::new(if decoded.is_empty() { "index.html" } else { &decoded });
    relative.components().all(|part| matches!(part, Component::Normal(_))).then(|| folder.join(relative))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn mime_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("flac") => "audio/flac",
        Some("wav") => "audio/wav",
        Some("md" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a page that reads any file of the machine.
    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = Path::new("site");
        for path in ["/../secret", "/%2e%2e/secret", "//etc/passwd", "/a/../../b", "no-slash", "/%zz", "/%2"]
        {
            assert_eq!(file_of(path, folder), None, "{path}");
        }
        assert_eq!(file_of("/", folder), Some("site/index.html".into()));
        assert_eq!(file_of("/audio/a%20b.flac", folder), Some("site/audio/a b.flac".into()));
    }

    /// Catches: a page that is not cross-origin isolated, and WASM that cannot be compiled while it
    /// streams.
    #[test]
    fn answers_carry_type_and_isolation() {
        let folder = std::env::temp_dir().join(format!("xtask-server-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.wasm"), b"\0asm").unwrap();
        let server = SiteServer::start(&folder, 0).unwrap();
        let response = ureq::get(format!("{}a.wasm", server.address())).call().unwrap();
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header("content-type"), "application/wasm");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-embedder-policy"), "require-corp");
        assert_eq!(header("cache-control"), "no-store");
        let missing = ureq::get(format!("{}b.wasm", server.address())).call();
        assert!(matches!(missing, Err(ureq::Error::StatusCode(404))), "{missing:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// Catches: a page that never finishes loading because others keep their connections open.
    #[test]
    fn idle_connections_do_not_keep_others_waiting() {
        let server = SiteServer::start(Path::new("."), 0).unwrap();
        let idle: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        let answer = ureq::get(format!("{}no-such-file", server.address())).call();
        assert!(matches!(answer, Err(ureq::Error::StatusCode(404))), "{answer:?}");
        drop(idle);
    }

    /// Catches: an error where the next port would do.
    #[test]
    fn a_taken_port_gives_the_next_one() {
        let first = SiteServer::start(Path::new("."), 18_080).unwrap();
        let second = SiteServer::start(Path::new("."), first.address.port()).unwrap();
        assert!(second.address.port() > first.address.port());
    }
}
