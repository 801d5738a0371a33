//! The bodies of requests.

use std::{future::poll_fn, pin::Pin};

use axum::{
    body::{Bytes, HttpBody as _},
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracking_core::{
    change::MAX_EVENT_BYTES,
    fault::Faults,
    json::{self, Map, Value},
};

use crate::problem::{Kind, Problem};

/// The most bytes of a body, unless an operation's row says otherwise.
pub(crate) const DEFAULT_MAX_BYTES: usize = 64 * 1_024;

/// The longest body that is taken in although it is too long.
const MAX_DISCARDED_BYTES: u64 = 128 * 1024 * 1024;

/// The most bytes of an operation's body, an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxBytes(pub(crate) usize);

/// A response with a JSON document.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).expect("responses have text keys and no failing serializers");
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

/// A JSON body. If it has a content type, that must be JSON too.
#[derive(Debug)]
pub struct JsonBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = taken(request, state).await?;
        parsed(&bytes).map(Self)
    }
}

/// A JSON body, or none, which counts as an empty object: for operations whose fields are all optional.
#[derive(Debug)]
pub struct OptionalBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for OptionalBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = taken(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Value::Object(Map::new())));
        }
        match parsed(&bytes)? {
            Value::Null => {
                let faults = Faults::one("", "null is no object: leave the body out, or give an object");
                Err(Problem::with_faults(Kind::BadRequest, faults))
            }
            body => Ok(Self(body)),
        }
    }
}

/// The whole body, unless its content type says that it is something else than JSON.
async fn taken<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    if let Some(kind) = media_type(request.headers()).filter(|kind| !is_json(kind)) {
        return Err(unsupported(&kind, "application/json"));
    }
    whole(request, state).await
}

/// The whole body, of at most as many bytes as its operation takes. A body with a larger declared length is read and dropped, so
/// that its client reads the answer; a body that is much larger is not read.
pub async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let most = request.extensions().get::<MaxBytes>().map_or(DEFAULT_MAX_BYTES, |MaxBytes(most)| *most);
    let declared = request.body().size_hint().lower();
    if declared > u64::try_from(most).unwrap_or(u64::MAX) {
        if declared <= MAX_DISCARDED_BYTES {
            let mut body = request.into_body();
            while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
        }
        return Err(too_large(most));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection, most))
}

fn parsed(bytes: &[u8]) -> Result<Value, Problem> {
    json::parse(bytes)
        .map_err(|error| Problem::with_faults(Kind::BadRequest, Faults::one("", format!("the body is not JSON: {error}"))))
}

/// Checks that the event in a body, if there is one, is no longer than events may be.
pub(crate) fn event_fits(body: &Value) -> Result<(), Problem> {
    let bytes = body.get("event").map_or(0, |event| event.to_string().len());
    if bytes <= MAX_EVENT_BYTES {
        return Ok(());
    }
    let detail = format!("{bytes} bytes are too many: an event has at most {MAX_EVENT_BYTES}");
    Err(Problem::with_faults(Kind::TooLarge, Faults::one("/event", detail)))
}

/// The content type that `curl --data` gives every body, unless another one is set.
const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of a body, in lower case and without its parameters. `None` if none is given, or
/// that of a form: then the body itself decides.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(CONTENT_TYPE)?.as_bytes()).to_ascii_lowercase();
    let kind = text.split(';').next()?.trim();
    (!kind.is_empty() && kind != FORM).then(|| kind.to_owned())
}

/// Returns true if a media type is a JSON document's: `application/json`, or anything with the suffix `+json`.
pub fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.split_once('/').is_some_and(|(_, subtype)| subtype.ends_with("+json"))
}

/// A content type that a route does not take; `allowed` names those that it does.
pub fn unsupported(given: &str, allowed: &str) -> Problem {
    let detail = format!("{given:?} is not taken: send the body with Content-Type: {allowed}");
    Problem::new(Kind::UnsupportedMediaType, detail)
}

/// A body that was cut off, or is longer than its operation's limit.
fn unread(rejection: &BytesRejection, most_bytes: usize) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        too_large(most_bytes)
    } else {
        Problem::new(Kind::BadRequest, "the body could not be read to its end: send it again")
    }
}

pub(crate) fn too_large(most_bytes: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body is too large: expected at most {}", in_words(most_bytes)))
}

/// A number of bytes in the largest unit that it is a multiple of.
pub(crate) fn in_words(bytes: usize) -> String {
    const KIB: usize = 1_024;
    const MIB: usize = KIB * KIB;
    match bytes {
        whole if whole.is_multiple_of(MIB) => format!("{} MiB", whole / MIB),
        whole if whole.is_multiple_of(KIB) => format!("{} KiB", whole / KIB),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_by_many_names() {
        for name in ["application/json", "application/merge-patch+json", "application/vnd.platform.rule+json"] {
            assert!(is_json(name), "{name}");
        }
        for name in ["text/json", "application/x-ndjson", "text/plain", "+json", "application/jsonp"] {
            assert!(!is_json(name), "{name}");
        }
    }

    #[test]
    fn bytes_are_printed_in_the_largest_unit() {
        assert_eq!([65_536, 1 << 20, 64 << 20, 1_000].map(in_words), ["64 KiB", "1 MiB", "64 MiB", "1000 bytes"]);
    }

    #[test]
    fn parameters_of_a_media_type_are_no_part_of_it() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap())]);
        assert_eq!(media_type(&headers).as_deref(), Some("application/json"));
    }

    #[test]
    fn a_missing_media_type_and_that_of_a_form_count_as_none() {
        assert_eq!(media_type(&HeaderMap::new()), None);
        for name in ["", "application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, name.parse().unwrap())]);
            assert_eq!(media_type(&headers), None, "{name}");
        }
    }
}
