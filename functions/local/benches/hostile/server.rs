//! The server under test: the binary as a child process, its memory, and calls to it.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// The pause between two readings of the server's memory.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running `tracking serve`.
pub(crate) struct Server {
    child: Mutex<Child>,
    pub(crate) url: String,
    pub(crate) admin: String,
    data: TempDir,
    anonymous_kib: Arc<AtomicU64>,
    id: u32,
}

/// The highest memory so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident memory, pages of files included.
    pub(crate) peak_kib: u64,
    /// Memory that the process itself allocated, as far as it was sampled.
    pub(crate) anonymous_kib: u64,
}

impl Server {
    pub(crate) fn start() -> Self {
        let private = Permissions::from_mode(0o700);
        let data = tempfile::Builder::new().permissions(private).tempdir().expect("a temporary folder can be made");
        let mut serve = tracking(&["serve", "--listen", "127.0.0.1:0", "--allow-private-targets", "--data"]);
        serve.arg(data.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = serve.spawn().expect("the binary can be run");
        let mut line = String::new();
        let out = child.stdout.take().expect("stdout is piped");
        BufReader::new(out).read_line(&mut line).expect("stdout can be read");
        let url = line.trim_end().strip_prefix("listening on ").expect("it prints where it listens").to_owned();
        let (id, anonymous_kib) = (child.id(), Arc::<AtomicU64>::default());
        let most = Arc::clone(&anonymous_kib);
        thread::spawn(move || {
            while let Some(kib) = number(id, "status", "RssAnon:") {
                most.fetch_max(kib, Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { url, admin: token(data.path(), &["--admin"]), child: Mutex::new(child), data, anonymous_kib, id }
    }

    /// Makes a token of an affiliate.
    pub(crate) fn affiliate(&self, id: &str) -> String {
        token(self.data.path(), &["--affiliate", id])
    }

    /// The folder of its store.
    pub(crate) fn folder(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory {
            peak_kib: number(self.id, "status", "VmHWM:").expect("the server runs"),
            anonymous_kib: self.anonymous_kib.load(Ordering::Relaxed),
        }
    }

    /// Returns the bytes that the server wrote to disk since its start; 0 where the system does not count them.
    pub(crate) fn written(&self) -> u64 {
        number(self.id, "io", "write_bytes:").unwrap_or_default()
    }

    /// Makes a rule and returns its id.
    pub(crate) async fn rule(&self, token: &str, rule: &Value) -> String {
        let client = client();
        let call = client.post(format!("{}/tracking-apis", self.url)).bearer_auth(token).json(rule);
        let answer = call.send().await.expect("the server answers");
        let (status, text) = (answer.status(), answer.text().await.expect("the answer is whole"));
        assert_eq!(status, 201, "{text}");
        let made: Value = serde_json::from_str(&text).expect("JSON");
        made["id"].as_str().expect("a rule has an id").to_owned()
    }

    /// Ends the process at once.
    pub(crate) fn end(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // The process may have ended by itself.
        let _ended = child.kill();
        let _reaped = child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes a client that waits for half a minute and uses no proxy.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    client.build().expect("a client needs nothing")
}

/// Returns a sale of an affiliate with one transaction.
pub(crate) fn sale(affiliate: &str, offer: &str, id: &str) -> Value {
    serde_json::json!({"detail-type": "Conversion Changed", "detail": {
        "change_id": format!("chg_{id}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": id, "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": affiliate, "advertiser_id": "adv_2", "offer_id": offer},
        "transactions": [{"transaction_id": format!("trx_{id}"), "result": "pending"}]}})
}

/// Returns the command of the binary, without environment variables that could change its behavior.
fn tracking(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracking"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("TRACKING_TOKEN");
    command
}

fn token(data: &Path, of: &[&str]) -> String {
    let made = tracking(&["token", "--data"]).arg(data).args(of).output().expect("the binary can be run");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("a token is text").trim_end().to_owned()
}

/// Reads a number from a file of the process: `status` has KiB, `io` bytes.
fn number(id: u32, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
