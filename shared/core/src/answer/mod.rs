//! What a receiver answered and what it means (domain §6).

use std::{borrow::Cow, sync::OnceLock};

use url::form_urlencoded;

use crate::{
    json::{self, Value},
    path::{FieldPath, Step},
};

mod condition;
mod operator;
mod rules;
mod set;
mod told;

#[cfg(test)]
mod tests;

pub use rules::{AnswerRules, Judgement};
pub use told::Told;

/// A complete answer of a receiver: status, headers, and the body up to the cap of 64 KiB.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in the order they came; names lower-case.
    pub headers: Vec<(String, String)>,
    body: Vec<u8>,
    read: OnceLock<Body>,
}

/// A body as answer rules see it.
#[derive(Debug)]
enum Body {
    Json(Value),
    Form(Vec<(String, String)>),
}

impl Answer {
    /// A complete answer; header names are made lower-case.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Self { status, headers, body, read: OnceLock::new() }
    }

    /// The body's bytes as they came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The field of a JSON body (if it parses as JSON, whatever its content type says) or of a form body, as text (A2).
    ///
    /// A JSON string is taken as it is, a number with the digits that were written, a list or an object
    /// as its JSON; `null` counts as missing.
    /// A form field's name is the whole path as text: the first field named `a.b[0]`. The body is parsed once.
    pub fn field(&self, path: &FieldPath) -> Option<String> {
        match self.read.get_or_init(|| Body::read(&self.body)) {
            Body::Json(document) => text(step_into(document, path)?).map(Cow::into_owned),
            Body::Form(fields) => {
                let name = path.to_string();
                fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
            }
        }
    }

    /// The steps for finding a field of the body.
    pub(crate) fn lookup_steps(&self) -> usize {
        match self.read.get_or_init(|| Body::read(&self.body)) {
            Body::Json(_) => 1,
            Body::Form(fields) => fields.len(),
        }
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

impl Body {
    fn read(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match json::parse_lenient(bytes) {
            Ok(document) => Self::Json(document),
            Err(_) => Self::Form(form_urlencoded::parse(bytes.trim_ascii()).into_owned().collect()),
        }
    }
}

fn step_into<'v>(document: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.0.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get(&**key),
        Step::Index(index) => value.get(*index),
    })
}

/// A JSON value as text: numbers never go through a float; `null` is missing.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// What an attempt's answer means (A1, A2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// The receiver has not decided: ask again later.
    Pending,
    /// It did not work this time: try again.
    Retry,
    /// It will never work.
    Failed,
}

impl Verdict {
    const WORDS: [(&str, Self); 4] =
        [("delivered", Self::Delivered), ("pending", Self::Pending), ("retry", Self::Retry), ("failed", Self::Failed)];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::Retry => "retry",
            Self::Failed => "failed",
        }
    }

    /// What a status means where no rule says otherwise: 2xx delivered; 408, 425, 429, 5xx again; all others failed (A1).
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            408 | 425 | 429 | 500..=599 => Self::Retry,
            _ => Self::Failed,
        }
    }
}

/// What no complete answer means, be it a timeout or a lost connection: try again, whatever the rules say (A1, A2).
pub fn no_answer() -> Verdict {
    Verdict::Retry
}
