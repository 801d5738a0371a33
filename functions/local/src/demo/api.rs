//! The demo as a client of its own server: it acts and reads through the HTTP API only.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Client, RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::check::{Delivery, Published};
use crate::server::LocalServer;

/// The time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most items of a page.
const PAGE: usize = 1_000;
/// The number of deliveries that are read at once.
const AT_ONCE: usize = 16;

/// The reasons for which a call to the server fails.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server does not answer.
    #[error("the demo's own server does not answer {what}")]
    Unreachable {
        /// The method and path of the request.
        what: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The server refuses the request.
    #[error("the demo's own server refuses {what} with {status}: {answer}")]
    Refused {
        /// The method and path of the request.
        what: String,
        /// The status of the answer.
        status: StatusCode,
        /// The answer.
        answer: String,
    },
    /// The server's answer has another form.
    #[error("the demo's own server answers {what} with what can't be read: {answer}")]
    Unreadable {
        /// The method and path of the request.
        what: String,
        /// The answer.
        answer: String,
        /// The parse error.
        source: serde_json::Error,
    },
}

/// A client of the demo's server, as an admin.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: Client,
    address: String,
    token: String,
}

/// A new rule.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) active: bool,
    /// The reason for which it is not active although it was meant to be (V4).
    pub(super) inactive_reason: Option<String>,
}

impl Api {
    pub(super) fn new(server: &LocalServer) -> Result<Self, ApiError> {
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build();
        let client = client.map_err(|source| ApiError::Unreachable { what: "anything".to_owned(), source })?;
        Ok(Self { client, address: server.url(), token: server.admin_token() })
    }

    async fn ask(&self, what: &str, request: RequestBuilder) -> Result<String, ApiError> {
        let unreachable = |source| ApiError::Unreachable { what: what.to_owned(), source };
        let answer = request.bearer_auth(&self.token).send().await.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.text().await.map_err(unreachable)?;
        if status.is_success() { Ok(text) } else { Err(ApiError::Refused { what: what.to_owned(), status, answer: text }) }
    }

    /// Returns the text that a path answers with.
    pub(super) async fn text(&self, path: &str) -> Result<String, ApiError> {
        self.ask(&format!("GET {path}"), self.client.get(format!("{}{path}", self.address))).await
    }

    /// Posts events. Returns the number accepted.
    pub(super) async fn post(&self, events: &[&str]) -> Result<u64, ApiError> {
        let request = self.client.post(format!("{}/events", self.address)).header(CONTENT_TYPE, "application/x-ndjson");
        let what = "POST /events";
        let text = self.ask(what, request.body(events.join("\n"))).await?;
        let answer: Value = read(what, &text)?;
        match answer["accepted"].as_u64() {
            Some(accepted) if accepted == events.len() as u64 => Ok(accepted),
            _ => Err(ApiError::Refused { what: what.to_owned(), status: StatusCode::ACCEPTED, answer: text }),
        }
    }

    /// Makes a rule.
    pub(super) async fn create(&self, rule: &Value) -> Result<Made, ApiError> {
        let what = format!("POST /tracking-apis {}", rule["name"]);
        let text = self.ask(&what, self.client.post(format!("{}/tracking-apis", self.address)).json(rule)).await?;
        let made: Value = read(&what, &text)?;
        let text = |name: &str| made[name].as_str().map(str::to_owned);
        let (id, inactive_reason) = (text("id").unwrap_or_default(), text("inactive_reason"));
        Ok(Made { id, active: made["active"] == true, inactive_reason })
    }

    /// Reads all items of a list, page by page. `path` has its query, if only a `?`; `from` is the parameter that continues it.
    async fn list(&self, path: &str, from: &str) -> Result<Vec<Value>, ApiError> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let address = format!("{path}limit={PAGE}&{from}={cursor}");
            let mut page: Map<String, Value> = read(&address, &self.text(&address).await?)?;
            if let Some(Value::Array(more)) = page.remove("items") {
                items.extend(more);
            }
            match page.remove("next_cursor") {
                Some(Value::String(next)) => cursor = next,
                _ => return Ok(items),
            }
        }
    }

    /// Reads the log by its list, narrowed down by `filter`: `name=value&`, or nothing for all of it. `keys` are the rules' keys by their
    /// ids.
    pub(super) async fn deliveries(&self, keys: &BTreeMap<String, String>, filter: &str) -> Result<Vec<Delivery>, ApiError> {
        let items = self.list(&format!("/deliveries?{filter}"), "cursor").await?;
        items.into_iter().map(|item| Ok(value::<Delivery>("GET /deliveries", item)?.known_as(keys))).collect()
    }

    /// Reads every delivery of the log with its attempts, each with the text of the response.
    pub(super) async fn logs(&self, keys: &BTreeMap<String, String>) -> Result<Vec<(Delivery, String)>, ApiError> {
        let mut ids: Vec<String> = self.deliveries(keys, "").await?.into_iter().map(|delivery| delivery.id).collect();
        let (mut reading, mut read_ones) = (JoinSet::new(), Vec::with_capacity(ids.len()));
        loop {
            while reading.len() < AT_ONCE
                && let Some(id) = ids.pop()
            {
                let api = self.clone();
                reading.spawn(async move { api.delivery(&id).await });
            }
            match reading.join_next().await {
                None => return Ok(read_ones),
                Some(Ok(done)) => {
                    let (delivery, text) = done?;
                    read_ones.push((delivery.known_as(keys), text));
                }
                Some(Err(broken)) => std::panic::resume_unwind(broken.into_panic()),
            }
        }
    }

    /// Reads one delivery with its attempts, and the text of the response.
    pub(super) async fn delivery(&self, id: &str) -> Result<(Delivery, String), ApiError> {
        let path = format!("/deliveries/{id}");
        let text = self.text(&path).await?;
        Ok((read(&path, &text)?, text))
    }

    /// Reads the events that the server published.
    pub(super) async fn published(&self, keys: &BTreeMap<String, String>) -> Result<Vec<Published>, ApiError> {
        let mut published = Vec::new();
        for mut event in self.list("/bus/events?", "after").await? {
            let Value::Object(detail) = event["detail"].take() else { continue };
            let id = detail.get("tracking_api_id").and_then(Value::as_str).unwrap_or_default();
            let key = keys.get(id).cloned().unwrap_or_else(|| id.to_owned());
            let detail_type = event["detail-type"].as_str().unwrap_or_default().to_owned();
            published.push(Published { detail_type, key, detail });
        }
        Ok(published)
    }
}

impl Delivery {
    /// Puts the rule's key in place of the rule's id; the id of a rule that the demo didn't make stays.
    fn known_as(mut self, keys: &BTreeMap<String, String>) -> Self {
        if let Some(key) = keys.get(&self.key) {
            self.key.clone_from(key);
        }
        self
    }
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|source| ApiError::Unreadable { what: what.to_owned(), answer: text.to_owned(), source })
}

fn value<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, ApiError> {
    let shown = value.to_string();
    serde_json::from_value(value).map_err(|source| ApiError::Unreadable { what: what.to_owned(), answer: shown, source })
}
