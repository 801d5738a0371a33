//! The temporary server: this binary as a process of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tracking_core::{caller::Caller, json, json::Value};

use super::BenchError;
use crate::keys;

/// A hundredth of a second: the unit of CPU time in /proc.
const TICK: Duration = Duration::from_millis(10);

/// The time after which a receiver that hangs is given up, in seconds.
const HANG_TIMEOUT_SECONDS: u32 = 5;

/// A running server with a folder that is removed with it.
pub(super) struct Server {
    child: Child,
    pub(super) poster: Poster,
    data: TempDir,
}

/// A client of the server, as an admin.
#[derive(Debug, Clone, Default)]
pub(super) struct Poster {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// The resources that a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    /// Bytes that were written to the disk.
    pub(super) disk_bytes: u64,
    /// The peak of anonymous memory in KiB; resident memory where the operating system does not report it.
    pub(super) memory_kib: u64,
    /// `false` if the operating system does not report the usage.
    pub(super) is_known: bool,
}

impl Usage {
    /// Returns the usage since `before`; memory stays as it is.
    pub(super) fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), disk_bytes: self.disk_bytes.saturating_sub(before.disk_bytes), ..self }
    }
}

impl Server {
    /// Starts the server on a free port of this machine.
    pub(super) async fn start() -> Result<Self, BenchError> {
        let data = tempfile::Builder::new().prefix("tracking-bench").tempdir()?;
        let mut serve = Command::new(std::env::current_exe()?);
        serve.args(["--log", "error", "serve", "--listen", "127.0.0.1:0", "--allow-private-targets", "--data"]).arg(data.path());
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let out = child.stdout.take();
        // From here on the child ends when this is dropped.
        let mut server = Self { child, poster: Poster::default(), data };
        let line = spawn_blocking(move || {
            let mut line = String::new();
            out.map(|out| BufReader::new(out).read_line(&mut line)).transpose().map(|_| line)
        });
        let line = line.await.map_err(|error| BenchError::Server(error.to_string()))??;
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let url = url.ok_or_else(|| BenchError::Server("it ended before it listened".to_owned()))?;
        let key = keys::tokens(server.data.path()).map_err(|error| BenchError::Server(error.to_string()))?;
        let token = keys::token(&key, &Caller::Admin, 1);
        server.poster = Poster { client: reqwest::Client::builder().no_proxy().build()?, url, token };
        Ok(server)
    }

    /// Makes a rule for each receiver; rules of receivers that never answer have one try.
    pub(super) async fn make_rules(&self, answering: &[String], hanging: &[String]) -> Result<(), BenchError> {
        for (number, url) in answering.iter().enumerate() {
            let request = json!({"url": format!("{url}/{{conversion_id}}?payout={{payout}}&click={{affiliate_click_id}}")});
            let retry = json!({"max_retries": 5, "delay_seconds": 1, "backoff": "fixed"});
            self.poster.make_rule(&format!("aff_{number}"), json!({"name": "bench", "request": request, "retry": retry})).await?;
        }
        for (number, url) in hanging.iter().enumerate() {
            let request = json!({"url": format!("{url}/{{conversion_id}}"), "timeout_seconds": HANG_TIMEOUT_SECONDS});
            let rule = json!({"name": "bench", "request": request, "retry": {"max_retries": 0}});
            self.poster.make_rule(&format!("aff_hang{number}"), rule).await?;
        }
        Ok(())
    }

    /// Returns the resources that the server has used so far.
    pub(super) fn usage(&self) -> Usage {
        usage(&format!("/proc/{}", self.child.id())).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Poster {
    async fn make_rule(&self, affiliate: &str, mut rule: Value) -> Result<(), BenchError> {
        rule["owner"] = json!({"kind": "affiliate", "affiliate_id": affiliate});
        let call = self.client.post(format!("{}/tracking-apis", self.url)).bearer_auth(&self.token).json(&rule);
        let answer = call.send().await?;
        if answer.status() == reqwest::StatusCode::CREATED {
            return Ok(());
        }
        Err(BenchError::Server(format!("it refused a rule: {}", answer.text().await?)))
    }

    /// Posts events given as a JSON array. A repeat is the same change.
    pub(super) async fn post(&self, events: String) -> Result<(), BenchError> {
        let call = self.client.post(format!("{}/events", self.url)).bearer_auth(&self.token);
        let answer = call.header("content-type", "application/json").body(events).send().await?;
        match answer.status().as_u16() {
            202 | 207 => Ok(()),
            status => Err(BenchError::Server(format!("it answered {status} to events: {}", answer.text().await?))),
        }
    }
}

/// Reads the resources that a process, or a thread, has used; `None` where the operating system does not report them.
pub(super) fn usage(process: &str) -> Option<Usage> {
    let stat = fs::read_to_string(format!("{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u32>().ok();
    let number = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("{process}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Usage {
        cpu: TICK * (ticks(11)? + ticks(12)?),
        disk_bytes: number("io", "write_bytes:").unwrap_or(0),
        memory_kib: number("status", "RssAnon:").unwrap_or(0),
        is_known: true,
    })
}
