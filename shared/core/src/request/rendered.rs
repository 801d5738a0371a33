//! The request that is sent.

use std::fmt;

use url::Url;

use super::{Method, Timeout};

/// A request with all values filled in, secrets included: its `Debug` shows the method, the names of the headers and the length
/// of the body (Q5).
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// The URL, percent-encoded; its origin is the rule's own text.
    pub url: String,
    /// Headers in order. Values are UTF-8 and hold no control characters but tabs.
    pub headers: Vec<(String, String)>,
    /// The body, if the rule has one.
    pub body: Option<Vec<u8>>,
    /// The time limit of the whole request (Q4).
    pub timeout: Timeout,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered")
            .field("method", &self.method)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("body_bytes", &self.body.as_ref().map(Vec::len))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The first query parameter with that name in the URL of a request, decoded (A2).
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
