//! Asking a server for the internals of a delivery.

use std::time::Duration;

use reqwest::StatusCode;
use tracking_core::{
    delivery::DeliveryId,
    json::{self, Value},
};
use tracking_engine::internals::Internals;

use crate::remote;

/// The longest time that the request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The reasons for which a server returns nothing.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address can't be used.
    #[error("{0} is not the address of a server: give one such as http://127.0.0.1:8080 with --server")]
    Address(String),
    /// Requests can't be sent from here.
    #[error("requests can't be sent from this machine")]
    Client(#[source] reqwest::Error),
    /// No answer.
    #[error("{server} can't be reached: start it, give another address with --server, or read its folder with --data")]
    Unreachable {
        /// The server.
        server: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// An answer without internals.
    #[error("{server} answers {status}: {detail}")]
    Refused {
        /// The server.
        server: String,
        /// The status of its answer.
        status: StatusCode,
        /// Its reason.
        detail: String,
    },
}

/// Returns the internals of a delivery, if the server knows the delivery.
pub(super) async fn ask(server: &str, token: &str, id: &DeliveryId) -> Result<Option<Internals>, AskError> {
    let server = remote::address(server).map_err(AskError::Address)?;
    let client = remote::client(TIMEOUT).map_err(AskError::Client)?;
    let unreachable = |source| AskError::Unreachable { server: server.clone(), source };
    let request = client.get(format!("{server}/deliveries/{id}/internals")).bearer_auth(token);
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(unreachable)?;
    if status == StatusCode::OK
        && let Ok(internals) = serde_json::from_slice(&body)
    {
        return Ok(Some(internals));
    }
    let document: Value = json::parse(&body).unwrap_or_default();
    if status == StatusCode::NOT_FOUND && document.get("type").and_then(Value::as_str) == Some("/problems/not-found") {
        return Ok(None);
    }
    let detail = document.get("detail").and_then(Value::as_str).unwrap_or("it does not seem to be a tracking server");
    Err(AskError::Refused { server, status, detail: detail.to_owned() })
}
