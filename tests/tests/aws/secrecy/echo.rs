//! A receiver that sends back each request: first as a temporary fault, then as an answer with response data, then as a failure.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::secrecy::search::{INNER, KEPT, OWN, TOKEN, secrets_in};

/// The statuses of its answers, in turn.
const STATUSES: [u16; 5] = [202, 500, 200, 400, 202];
/// The statuses of its answers to a flow's status query, in turn: pending, a refused token, a temporary fault, delivered twice.
const FLOW_STATUSES: [u16; 5] = [202, 401, 500, 200, 200];

/// The requests so far, and the number of status queries of flows among them.
#[derive(Default)]
struct Heard {
    all: AtomicUsize,
    queries: AtomicUsize,
    /// The paths of the callback URLs that requests held.
    callbacks: Mutex<Vec<String>>,
}

/// The receiver; it ends when it is dropped.
pub(crate) struct Echo {
    pub(crate) url: String,
    heard: Arc<Heard>,
    serving: JoinHandle<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let heard = Arc::new(Heard::default());
        let router = Router::new().fallback(echo).with_state(heard.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, heard, serving }
    }

    /// Returns the paths of the callback URLs that requests held.
    pub(crate) fn callbacks(&self) -> Vec<String> {
        self.heard.callbacks.lock().expect("nobody panics with it").clone()
    }

    /// Returns the number of requests, each with its secrets in clear.
    pub(crate) fn heard(&self) -> usize {
        self.heard.all.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn echo(State(counts): State<Arc<Heard>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let headers: Vec<String> =
        head.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    let all = format!("{} {}\n{}\n\n{body}", head.method, head.uri, headers.join("\n"));
    assert!(!secrets_in(&all).is_empty(), "the receiver gets the secrets: {all}");
    if let Some((_, rest)) = body.split_once("https://tracking.example/callbacks/") {
        let token = rest.split('"').next().unwrap_or_default();
        counts.callbacks.lock().expect("nobody panics with it").push(format!("/callbacks/{token}"));
    }
    let number = counts.all.fetch_add(1, Ordering::Relaxed);
    let status = match head.headers.get("tracking-step").map(HeaderValue::as_bytes) {
        None => STATUSES[number % STATUSES.len()],
        Some(b"status") => FLOW_STATUSES[counts.queries.fetch_add(1, Ordering::Relaxed) % FLOW_STATUSES.len()],
        Some(_) => 200,
    };
    let status = StatusCode::from_u16(status).expect("a status");
    // A rule's responses contain the secrets of that rule.
    let secrets: &[&str] = match head.headers.get("tracking-step").map(HeaderValue::as_bytes) {
        None => &[INNER],
        // The step of a rule with one secret.
        Some(b"ask") => &[],
        Some(_) => &[KEPT, OWN],
    };
    let others: Vec<String> = secrets.iter().copied().flat_map(encoded).collect();
    let shouted = format!("{} {}", TOKEN.to_ascii_uppercase(), others.join(" "));
    let mut answer =
        json!({"id": TOKEN, "encoded": encoded(TOKEN), "all": encoded(&all), "echo": [all, headers, body, head.uri.to_string()]});
    if let [kept, own] = secrets {
        answer["access_token"] = json!(kept);
        answer["session"] = json!(own);
        answer["expires_in"] = json!(3_600);
        answer["tokens"] = json!(others);
    }
    (status, [("x-echo", head.uri.to_string()), ("x-shout", shouted)], axum::Json(answer)).into_response()
}

/// Returns a text in the encodings in which a receiver might send it back.
fn encoded(text: &str) -> Vec<String> {
    let hex = text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let base64 =
        [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD].map(|base64| base64.encode(text));
    let within = BASE64_URL_SAFE.encode(format!("token={text};"));
    let mut encoded = vec![hex.to_uppercase(), hex, within, text.to_ascii_uppercase(), text.to_ascii_lowercase()];
    encoded.extend(base64);
    encoded
}
