//! A receiver that sends back all that it got: first as a fault for now, then as an answer that tells something, then as a failure.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::search::{INNER, TOKEN, secrets_in};

/// What it answers with, in turn.
const STATUSES: [u16; 5] = [202, 500, 200, 400, 202];

/// The receiver; it ends when it is dropped.
pub(crate) struct Echo {
    pub(crate) url: String,
    heard: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let heard = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(echo).with_state(heard.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, heard, serving }
    }

    /// How many requests came, each with its secrets in clear.
    pub(crate) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn echo(State(count): State<Arc<AtomicUsize>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let headers: Vec<String> =
        head.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    let all = format!("{} {}\n{}\n\n{body}", head.method, head.uri, headers.join("\n"));
    assert!(!secrets_in(&all).is_empty(), "the receiver gets the secrets: {all}");
    let number = count.fetch_add(1, Ordering::Relaxed);
    let status = StatusCode::from_u16(STATUSES[number % STATUSES.len()]).expect("a status");
    let told =
        json!({"id": TOKEN, "encoded": encoded(TOKEN), "all": encoded(&all), "echo": [all, headers, body, head.uri.to_string()]});
    let shouted = format!("{} {}", TOKEN.to_ascii_uppercase(), encoded(INNER).join(" "));
    (status, [("x-echo", head.uri.to_string()), ("x-shout", shouted)], axum::Json(told)).into_response()
}

/// A text as a receiver might write it that doesn't send it back as it is.
fn encoded(text: &str) -> Vec<String> {
    let hex = text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let base64 =
        [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD].map(|base64| base64.encode(text));
    let within = BASE64_URL_SAFE.encode(format!("token={text};"));
    let mut encoded = vec![hex.to_uppercase(), hex, within, text.to_ascii_uppercase(), text.to_ascii_lowercase()];
    encoded.extend(base64);
    encoded
}
