//! Posting a batch: the server's outcome, and retries while the server can't be reached.

use std::time::Duration;

use axum::body::Bytes;
use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use tracking_core::json::{self, Value};

use crate::remote;

/// The waits before each further try of a server that is starting, or busy.
const WAITS: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_600),
    Duration::from_secs(3),
];
/// The time limit of one request.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The reasons for which a batch has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The address can't be used.
    #[error("{0} is no address of a server: give one such as http://127.0.0.1:8080 with --server")]
    Address(String),
    /// Requests can't be sent from here.
    #[error("requests can't be sent from this machine")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("{server} can't be reached: start it with `tracking serve`, or give another address with --server")]
    Unreachable {
        /// The server.
        server: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// An answer without outcomes of the events.
    #[error("{server} answers {status}: {detail}{}", hint(*status))]
    Refused {
        /// The server.
        server: String,
        /// The status of the answer.
        status: StatusCode,
        /// The reason in the answer.
        detail: String,
    },
}

fn hint(status: StatusCode) -> &'static str {
    if status == StatusCode::UNAUTHORIZED { " (the token is made with the key in --data: name that server's folder)" } else { "" }
}

/// The server's outcome of a batch.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The index of each invalid event, with its faults in a line.
    pub(super) rejected: Vec<(usize, String)>,
}

/// A server to post to.
pub(super) struct Server {
    client: Client,
    address: String,
    token: String,
}

impl Server {
    pub(super) fn new(address: &str, token: String) -> Result<Self, PostError> {
        let address = remote::address(address).map_err(PostError::Address)?;
        let client = remote::client(TIMEOUT).map_err(PostError::Client)?;
        Ok(Self { client, address, token })
    }

    /// Posts events, one a line. A repeated try does no harm: the same change is accepted once (P2).
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<Outcome, PostError> {
        let body = Bytes::from(body);
        let mut waits = WAITS.iter();
        loop {
            let tried = self.attempt(body.clone()).await;
            let again = match &tried {
                Err(PostError::Unreachable { .. }) => true,
                Err(PostError::Refused { status, .. }) => *status == StatusCode::SERVICE_UNAVAILABLE,
                _ => false,
            };
            match waits.next().filter(|_| again) {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return tried,
            }
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<Outcome, PostError> {
        let unreachable = |source| PostError::Unreachable { server: self.address.clone(), source };
        let request = self.client.post(format!("{}/events", self.address)).bearer_auth(&self.token);
        let answer = request.header(CONTENT_TYPE, "application/x-ndjson").body(body).send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        let document: Value = json::parse(text.as_bytes()).unwrap_or_default();
        if let Some(rejected) = document.get("rejected").and_then(Value::as_array) {
            return Ok(Outcome { rejected: rejected.iter().map(read_rejected).collect() });
        }
        let detail = document.get("detail").and_then(Value::as_str).unwrap_or("it does not seem to be a tracking server");
        Err(PostError::Refused { server: self.address.clone(), status, detail: detail.to_owned() })
    }
}

/// Reads `{"index": 3, "errors": [{"pointer": "…", "detail": "…"}]}` as an index and a line.
fn read_rejected(rejected: &Value) -> (usize, String) {
    let index = rejected["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX);
    let faults = rejected["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = faults.iter().map(|fault| match (text(&fault["pointer"]), text(&fault["detail"])) {
        (place, detail) if place.is_empty() => detail,
        (place, detail) => format!("{place}: {detail}"),
    });
    (index, lines.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use tracking_core::json;

    use super::*;

    #[test]
    fn faults_of_an_event_are_one_line() {
        let rejected = json!({"index": 3, "errors": [
            {"pointer": "/detail/change_id", "detail": "missing: give an id"}, {"pointer": "", "detail": "not JSON"}]});
        assert_eq!(read_rejected(&rejected), (3, "/detail/change_id: missing: give an id; not JSON".to_owned()));
    }

    #[test]
    fn an_address_is_one_of_the_web() {
        assert!(Server::new("http://127.0.0.1:8080/", String::new()).is_ok());
        for bad in ["127.0.0.1:8080", "ftp://x", ""] {
            assert!(matches!(Server::new(bad, String::new()), Err(PostError::Address(_))), "{bad}");
        }
    }
}
