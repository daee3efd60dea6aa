//! A server of one folder on 127.0.0.1.

use std::io::Cursor;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::interrupt;

/// How many ports above the first are tried.
const TRIES: u16 = 20;

/// A running server, ended when dropped.
pub(crate) struct SiteServer {
    server: Arc<Server>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl SiteServer {
    /// Serves `folder` on `first_port`, or the next one that is free; port 0 is any free one.
    pub(crate) fn start(folder: &Path, first_port: u16) -> Result<Self> {
        let server = Arc::new(listen(first_port)?);
        let port = server.server_addr().to_ip().ok_or_else(|| anyhow!("the server has no port"))?.port();
        let (serving, folder) = (Arc::clone(&server), folder.to_owned());
        let thread = std::thread::spawn(move || {
            for request in serving.incoming_requests() {
                // A browser that went away mid-answer is no matter of ours.
                let _ = answer(request, &folder);
            }
        });
        Ok(Self { server, port, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
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
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was printed already.
            let _ = thread.join();
        }
    }
}

fn listen(first_port: u16) -> Result<Server> {
    let mut refusal = String::new();
    for offset in 0..TRIES {
        let Some(port) = first_port.checked_add(offset) else { break };
        match Server::http(("127.0.0.1", port)) {
            Ok(server) => return Ok(server),
            Err(error) => refusal = error.to_string(),
        }
    }
    Err(anyhow!(
        "no free port in {first_port}..{}: {refusal}.\nRemedy: name another with `--port N`",
        first_port.saturating_add(TRIES)
    ))
}

fn answer(request: Request, folder: &Path) -> std::io::Result<()> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.respond(plain(405, "only GET and HEAD\n"));
    }
    let path = request.url().split(['?', '#']).next().unwrap_or_default();
    let response = match file_of(path, folder).and_then(|file| Some((std::fs::read(&file).ok()?, file))) {
        Some((bytes, file)) => respond(200, mime_type(&file), bytes),
        None => plain(404, "there is no such file\n"),
    };
    request.respond(response)
}

fn plain(status: u16, text: &str) -> Response<Cursor<Vec<u8>>> {
    respond(status, "text/plain; charset=utf-8", text.into())
}

fn respond(status: u16, mime_type: &str, bytes: Vec<u8>) -> Response<Cursor<Vec<u8>>> {
    let headers = [
        ("Content-Type", mime_type),
        // Together they isolate the page, which is what SharedArrayBuffer asks for.
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Embedder-Policy", "require-corp"),
        ("Cache-Control", "no-store"),
    ];
    let mut response = Response::from_data(bytes).with_status_code(status);
    for (name, value) in headers {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    response
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

    /// Catches: an error where the next port would do.
    #[test]
    fn a_taken_port_gives_the_next_one() {
        let first = SiteServer::start(Path::new("."), 18_080).unwrap();
        let second = SiteServer::start(Path::new("."), first.port).unwrap();
        assert!(second.port > first.port);
    }
}
