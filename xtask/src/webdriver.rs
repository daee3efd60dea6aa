//! A small WebDriver client: as much of the protocol as the headless demo needs, and chromedriver's
//! bridge to the commands of DevTools.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::process::KillOnDrop;

/// How long chromedriver may take to listen.
const START: Duration = Duration::from_secs(20);
/// How long any one request may take: starting a browser on a busy machine is the slowest.
const REQUEST: Duration = Duration::from_secs(90);
/// How long a script in the page may take before it counts as hanging.
const SCRIPT: Duration = Duration::from_secs(60);
/// A drained log of trace events has some megabytes; this much means that something is wrong.
const MAX_RESPONSE: u64 = 1 << 30;

/// A running chromedriver, ended when dropped.
pub(crate) struct Driver {
    address: String,
    _process: KillOnDrop,
}

impl Driver {
    /// Starts chromedriver on a free port.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // In a group of its own, a Ctrl-C in the terminal leaves it alive long enough for us to
        // delete the session; otherwise Chromium would be left behind.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("chromedriver has no standard output")?;
        let process = KillOnDrop(child);

        let (send, receive) = mpsc::channel();
        // Reads to the end, so that the driver never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(port) = port_in(&line) {
                    // Fails only if nobody waits any more.
                    let _ = send.send(port);
                }
            }
        });
        let port = receive
            .recv_timeout(START)
            .map_err(|_| anyhow!("{} told no port within {} s", program.display(), START.as_secs()))?;
        Ok(Self { address: format!("http://127.0.0.1:{port}"), _process: process })
    }

    /// Opens a browser.
    pub(crate) fn session(&self, capabilities: &Value) -> Result<Session<'_>> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST))
            .http_status_as_error(false)
            // A proxy of the environment must not see the requests to this machine.
            .proxy(None)
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = request(&agent, "POST", &format!("{}/session", self.address), Some(&body))
            .context("the browser did not start")?;
        let id = answer["sessionId"].as_str().context("chromedriver gave no session id")?;
        let session = Session { url: format!("{}/session/{id}", self.address), agent, _driver: self };
        session.post("timeouts", &json!({ "script": SCRIPT.as_millis(), "pageLoad": SCRIPT.as_millis() }))?;
        Ok(session)
    }
}

/// `ChromeDriver was started successfully on port 41571.`
fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("started successfully on port ")?;
    rest.trim_end().trim_end_matches('.').parse().ok()
}

/// An open browser; dropping it closes the browser, on whatever path that happens.
pub(crate) struct Session<'d> {
    agent: ureq::Agent,
    url: String,
    _driver: &'d Driver,
}

impl Session<'_> {
    /// Loads a page and waits for its `load` event.
    pub(crate) fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// Runs the body of an async function in the page and returns what it returns; an exception
    /// there is an error here.
    pub(crate) fn run_async(&self, body: &str) -> Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {body} }})().then(
                 value => done({{ value: value === undefined ? null : value }}),
                 error => done({{ error: String(error) }}));"
        );
        let mut answer = self.post("execute/async", &json!({ "script": script, "args": [] }))?;
        match answer["error"].as_str() {
            Some(error) => bail!("the page says: {error}"),
            None => Ok(answer["value"].take()),
        }
    }

    /// A command of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, params: Value) -> Result<Value> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// Takes what a log of chromedriver gathered since the last time.
    pub(crate) fn drain_log(&self, kind: &str) -> Result<Vec<Value>> {
        match self.post("se/log", &json!({ "type": kind }))? {
            Value::Array(entries) => Ok(entries),
            other => bail!("the log `{kind}` is no list: {other}"),
        }
    }

    fn post(&self, command: &str, body: &Value) -> Result<Value> {
        request(&self.agent, "POST", &format!("{}/{command}", self.url), Some(body))
            .with_context(|| format!("the browser's driver refused `{command}`"))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Err(error) = request(&self.agent, "DELETE", &self.url, None) {
            eprintln!("warning: the browser may be left running: {error:#}");
        }
    }
}

/// One request; the `value` of the answer, or the driver's own words of what went wrong.
fn request(agent: &ureq::Agent, method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
    let mut response = match body {
        Some(body) => {
            agent.post(url).header("content-type", "application/json; charset=utf-8").send(body.to_string())
        }
        None => agent.delete(url).call(),
    }
    .with_context(|| format!("{method} {url}"))?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(MAX_RESPONSE).read_to_string()?;
    let mut answer: Value =
        serde_json::from_str(&text).with_context(|| format!("the driver answered {status} and no JSON"))?;
    let value = answer["value"].take();
    if status.is_success() {
        return Ok(value);
    }
    let error = value["error"].as_str().unwrap_or("unknown error");
    // The message goes on with a stack of addresses inside the driver.
    let message = value["message"].as_str().unwrap_or_default();
    let message = message.split("\nStacktrace:").next().unwrap_or_default();
    bail!("{error}: {}", message.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: waiting for ever because the port was not recognised.
    #[test]
    fn the_port_is_read_from_the_driver_s_greeting() {
        assert_eq!(port_in("ChromeDriver was started successfully on port 41571."), Some(41571));
        assert_eq!(port_in("Starting ChromeDriver 156.0.8078.79 on port 0"), None);
    }
}
