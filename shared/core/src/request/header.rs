//! Headers: names are literal, values may hold macros but no control characters (Q3).

use super::{DELIVERY_ID_HEADER, MOST_HEADERS, Signing, name, objects, part::Part};
use crate::{
    document::Fields,
    fault::Faults,
    json::{Map, Value},
    template::{Allowed, Place},
};

/// Headers that the HTTP client writes: they frame and route a request.
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
    pub(super) value: Part,
}

/// Reads `headers`.
pub(super) fn parse(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Vec<Header>> {
    let headers = objects(fields, "headers", MOST_HEADERS, &["name", "value", "do_not_send"], faults);
    let mut seen: Vec<&str> = Vec::new();
    let mut parsed = Vec::new();
    for (_, header) in &headers {
        let name = name(header, "name", faults);
        if let Some(name) = name {
            if let Err(detail) = check(name) {
                faults.add(header.at("name"), detail);
            } else if seen.iter().any(|earlier| earlier.eq_ignore_ascii_case(name)) {
                faults.add(header.at("name"), format!("the header {name} occurs twice: keep one of them"));
            }
            seen.push(name);
        }
        let value = Part::parse(header, Place::Header, allowed, faults);
        parsed.push(name.zip(value).map(|(name, value)| Header { name: name.into(), value }));
    }
    parsed.into_iter().collect()
}

/// Refuses the headers that signing writes in a signed request. `request` is the document at `pointer` as it was written:
/// it may have other faults.
pub(crate) fn refuse_signature_headers(signing: &Signing, request: Option<&Value>, pointer: &str, faults: &mut Faults) {
    let headers = request.and_then(|request| request.get("headers")).and_then(Value::as_array);
    for (i, header) in headers.into_iter().flatten().enumerate().take(MOST_HEADERS) {
        let Some(name) = header.get("name").and_then(Value::as_str) else { continue };
        if signing.owns_header(name) {
            faults.add(
                format!("{pointer}/headers/{i}/name"),
                format!("{} is written by signing: leave out the header or signing", name.to_ascii_lowercase()),
            );
        }
    }
}

/// Checks that a rule may set a header with that name.
pub(super) fn check(name: &str) -> Result<(), String> {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    if !name.bytes().all(is_token) {
        return Err("not a header's name: letters, digits and !#$%&'*+-.^_`|~ are allowed, and no macros".to_owned());
    }
    if let Some(framing) = FRAMING.iter().find(|other| is(other)) {
        return Err(format!("{framing} is written by the sending itself: a rule can't set it"));
    }
    if is(&DELIVERY_ID_HEADER) {
        return Err(format!("every request carries our own {name}: a rule can't set it"));
    }
    Ok(())
}

/// Returns true if the byte may occur in a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Header {
    pub(super) fn document(&self) -> Value {
        let mut map = Map::from_iter([("name".to_owned(), Value::from(&*self.name))]);
        self.value.add_to(&mut map);
        Value::Object(map)
    }

    pub(super) fn is_content_type(&self) -> bool {
        self.name.eq_ignore_ascii_case("content-type")
    }
}
