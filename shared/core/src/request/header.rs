//! Headers: names are literal, values may hold macros but no control characters (Q3).

use crate::{json, json::Value};

use super::{DELIVERY_ID_HEADER, MOST_HEADERS, name, objects, template};
use crate::{
    document::Fields,
    fault::Faults,
    template::{Allowed, Place, Template},
};

/// Headers that the sending itself writes: they say where a request goes and where it ends.
const FRAMING: [&str; 14] = [
    "Connection",
    "Content-Length",
    "Expect",
    "Host",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Trailers",
    "Transfer-Encoding",
    "Upgrade",
];

/// One header of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Box<str>,
    pub(super) value: Template,
}

/// Reads `headers`.
pub(super) fn parse(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Vec<Header>> {
    let headers = objects(fields, "headers", MOST_HEADERS, &["name", "value"], faults);
    let mut seen: Vec<&str> = Vec::new();
    let mut parsed = Vec::new();
    for (_, header) in &headers {
        let name = name(header, "name", faults);
        if let Some(name) = name {
            if let Err(detail) = check(name) {
                faults.add(header.at("name"), detail);
            } else if seen.iter().any(|earlier| earlier.eq_ignore_ascii_case(name)) {
                faults.add(header.at("name"), format!("the header {name} stands twice: keep one of them"));
            }
            seen.push(name);
        }
        let value = template(header, "value", Place::Header, allowed, faults);
        parsed.push(name.zip(value).map(|(name, value)| Header { name: name.into(), value }));
    }
    parsed.into_iter().collect()
}

/// Whether a rule may set a header of that name.
fn check(name: &str) -> Result<(), String> {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    if !name.bytes().all(is_token) {
        return Err("not a header's name: letters, digits and !#$%&'*+-.^_`|~ are allowed, and no macros".to_owned());
    }
    if let Some(framing) = FRAMING.iter().find(|other| is(other)) {
        return Err(format!("{framing} is written by the sending itself: a rule can't set it"));
    }
    if is(&DELIVERY_ID_HEADER) || is(&"User-Agent") {
        return Err(format!("every request carries our own {name}: a rule can't set it"));
    }
    Ok(())
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Header {
    pub(super) fn document(&self) -> Value {
        json!({"name": self.name, "value": self.value.text()})
    }

    pub(super) fn is_content_type(&self) -> bool {
        self.name.eq_ignore_ascii_case("content-type")
    }
}
