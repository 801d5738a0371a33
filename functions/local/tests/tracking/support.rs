//! Helpers that run the binary, call its server, and receive postbacks.

use std::{
    fs::Permissions,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, http::StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the command of the binary, without environment variables that could change its behavior.
pub(crate) fn tracking(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracking"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("TRACKING_TOKEN");
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    tracking(arguments).output().expect("the binary can be run")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the binary prints text")
}

/// Makes a token for `--admin` or `--affiliate ID` from this folder.
pub(crate) fn token(data: &Path, whose: &[&str]) -> String {
    let mut arguments = vec!["token", "--data", data.to_str().expect("temporary folders are named in text")];
    arguments.extend(whose);
    let made = run(&arguments);
    assert!(made.status.success(), "{}", text(&made.stderr));
    text(&made.stdout).trim_end_matches('\n').to_owned()
}

/// A running `tracking serve`. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
    client: reqwest::Client,
}

/// An answer of the server.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Server {
    /// Starts a server on any free port and waits for its line.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::spawn(tracking(&Self::arguments(data, more)), data)
    }

    /// Starts a server as [`Self::start`] does, with this many file descriptors and no more.
    pub(crate) fn start_with_descriptors(descriptors: u32, data: &Path, more: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tracking")]);
        command.args(Self::arguments(data, more)).env_remove("RUST_LOG").env_remove("TRACKING_TOKEN");
        Self::spawn(command, data)
    }

    fn arguments<'a>(data: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let folder = data.to_str().expect("temporary folders are named in text");
        [&["serve", "--listen", "127.0.0.1:0", "--data", folder], more].concat()
    }

    fn spawn(mut command: Command, data: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary can be run");
        let mut line = String::new();
        let out = child.stdout.take().expect("stdout is piped");
        BufReader::new(out).read_line(&mut line).expect("stdout can be read");
        let url =
            line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n')).expect("it prints where it listens");
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        Self { url: url.to_owned(), token: token(data, &["--admin"]), child, client: reqwest::Client::new() }
    }

    pub(crate) async fn call_as(&self, token: &str, line: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("it is a method");
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        let answer = request.header("content-type", content_type).body(body).send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("the answer is whole");
        Response { status, body: serde_json::from_str(&body).unwrap_or_default() }
    }

    /// Makes an admin's call with a JSON body.
    pub(crate) async fn call(&self, line: &str, body: Value) -> Response {
        self.call_as(&self.token, line, "application/json", body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call(&format!("GET {path}"), Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Returns the one delivery of a rule, once it is in this state.
    pub(crate) async fn delivery(&self, rule: &str, state: &str) -> Value {
        for _ in 0..600 {
            let list = self.get(&format!("/deliveries?tracking_api_id={rule}&state={state}")).await;
            if let Some(id) = list["items"][0]["id"].as_str() {
                return self.get(&format!("/deliveries/{id}")).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no delivery of {rule} became {state}: {}", self.get(&format!("/deliveries?tracking_api_id={rule}")).await);
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success());
    }

    /// Waits for the end of a server that was killed.
    pub(crate) fn reap(&mut self) {
        self.child.wait().expect("the child is ours");
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the child is ours")
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A request that a receiver got: method, path with query, the `authorization` header.
pub(crate) type Got = (String, String, Option<String>);

/// A receiver on loopback that answers every request after a while.
pub(crate) struct Receiver {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    pub(crate) async fn start(status: StatusCode, after: Duration) -> Self {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let noted = Arc::clone(&got);
        let take = move |request: Request| {
            let noted = Arc::clone(&noted);
            async move {
                let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
                let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
                noted.lock().expect("nobody panics with it").push((request.method().to_string(), path, header));
                tokio::time::sleep(after).await;
                (status, "{\"status\":\"ok\"}")
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
        Self { url, got }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().expect("nobody panics with it").clone()
    }

    /// Waits until this many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) {
        for _ in 0..600 {
            if self.got().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} requests came, {count} are waited for", self.got().len());
    }
}

pub(crate) fn folder() -> TempDir {
    // Private whatever the umask.
    let private = Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().expect("a temporary folder can be made")
}

/// Returns a new sale with one transaction.
pub(crate) fn sale(number: u32) -> Value {
    json!({"detail-type": "Conversion Changed", "detail": {
        "change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": format!("trx_{number}"), "result": "pending"}]}})
}
