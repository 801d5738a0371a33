//! Requests from outside that a flow listens for (W17, W18).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tracking_core::{answer::Response, flow::CallbackTurn, hash, json, json::Value};

use super::LoggedRequest;

/// The most headers of a request that are kept, and the most bytes of all of them.
const MAX_HEADERS: usize = 50;
const MAX_HEADER_BYTES: usize = 8 * 1_024;
/// Headers that are about the way of a request, or that would give away somebody's rights.
const LEFT_OUT: [&str; 5] = ["authorization", "cookie", "proxy-authorization", "x-amz-security-token", "x-forwarded-for"];
/// Characters of a request's name.
const NAME_CHARS: usize = 25;
/// The status under which a request from outside is read as a response is.
const STATUS: u16 = 200;

/// A request from outside, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingRequest {
    /// Its method.
    pub method: String,
    /// Its query, without the question mark.
    pub query: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    #[serde(serialize_with = "as_base64", deserialize_with = "of_base64")]
    pub body: Vec<u8>,
}

/// A request from outside, in the log. Its content has a row of its own, so that rows are counted without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallbackRow {
    pub(crate) at: Timestamp,
    pub(crate) step: String,
    pub(crate) run: u32,
    /// The bytes of its body.
    #[serde(default)]
    pub(crate) bytes: usize,
    /// The request, sealed, where an earlier version stored it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<String>,
    /// The request as people may see it, once it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<ReadCallback>,
}

/// A request from outside that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadCallback {
    pub(crate) request: LoggedRequest,
    pub(crate) verdict: String,
    pub(crate) error: Option<String>,
}

impl IncomingRequest {
    /// The same request with only the headers that are kept.
    #[must_use]
    pub fn with_kept_headers(mut self) -> Self {
        let mut bytes = 0;
        self.headers.retain(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= MAX_HEADER_BYTES && !LEFT_OUT.contains(&name.as_str())
        });
        self.headers.truncate(MAX_HEADERS);
        self
    }

    /// The name of its content: a repeat has the same name.
    pub(crate) fn name(&self) -> String {
        hash::text(&["callback", &self.query, &BASE64_STANDARD.encode(&self.body)], NAME_CHARS)
    }

    /// The request, to be read like a response. One without a body is read by its query, like a form.
    pub(crate) fn answer(&self) -> Response {
        if !self.body.is_empty() {
            return Response::new(STATUS, self.headers.clone(), self.body.clone());
        }
        let others = self.headers.iter().filter(|(name, _)| name != "content-type").cloned();
        let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        Response::new(STATUS, others.chain([form]).collect(), self.query.clone().into_bytes())
    }
}

impl CallbackRow {
    /// The row of a request that came at this time, with so many bytes of body.
    pub(crate) fn new(at: Timestamp, turn: &CallbackTurn<'_>, bytes: usize) -> Self {
        Self { at, step: turn.step.to_owned(), run: turn.run, bytes, sealed: None, read: None }
    }

    /// The bytes of its body that are stored.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.bytes.max(self.sealed.as_ref().map_or(0, String::len))
    }

    /// As the API shows it.
    pub(crate) fn view(&self) -> Value {
        let Self { at, step, run, read, .. } = self;
        json!({
            "at": at, "step": step, "run": run, "request": read.as_ref().map(|read| read.request.view()),
            "verdict": read.as_ref().map(|read| read.verdict.as_str()), "error": read.as_ref().and_then(|read| read.error.as_deref()),
        })
    }
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    BASE64_STANDARD.encode(bytes).serialize(serializer)
}

fn of_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
}
