//! Problem documents (RFC 9457): the form of every answer that is no success.

use std::num::NonZeroU32;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use tracking_core::{
    caller::Caller,
    fault::{Fault, Faults, MAX_FAULTS},
    json,
    json::Value,
};
use tracking_engine::{backend::StoreError, rules::Refused};

/// The kinds of problems. Each has a status, a stable `type` and a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A body, a header or a query that can't be read.
    BadRequest,
    /// Events of which none was accepted.
    BadEvents,
    /// No token, or none that is valid.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// Not found, or not visible to the caller (V2).
    NotFound,
    /// It is over: nothing takes this any more.
    Gone,
    /// The path doesn't take this method.
    MethodNotAllowed,
    /// It conflicts with the present state.
    Conflict,
    /// `If-Match` named another version.
    Changed,
    /// A body or an event that is too large.
    TooLarge,
    /// A body of another content type.
    UnsupportedMediaType,
    /// A resource with faults.
    Invalid,
    /// The caller does this too often.
    TooMany,
    /// The store can't be reached.
    Unavailable,
}

impl Kind {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// Status, `type`, `title`.
    pub(crate) fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "/problems/bad-request", "The request can't be read"),
            Self::BadEvents => (StatusCode::BAD_REQUEST, "/problems/bad-events", "No event was accepted"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "/problems/unauthorized", "A valid token is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "/problems/forbidden", "This is not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "/problems/not-found", "Not found"),
            Self::Gone => (StatusCode::GONE, "/problems/gone", "It is over"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "/problems/method-not-allowed", "The path does not take this method")
            }
            Self::Conflict => (StatusCode::CONFLICT, "/problems/conflict", "Conflict with the current state"),
            Self::Changed => (StatusCode::PRECONDITION_FAILED, "/problems/changed", "Somebody changed it meanwhile"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", "The request is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "/problems/unsupported-media-type", "The content type is not taken")
            }
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid", "The resource has faults"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "/problems/too-many-requests", "Too many requests"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "/problems/unavailable", "Try again later"),
        }
    }
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Fault>,
    member: Option<(&'static str, Value)>,
    challenge: Option<&'static str>,
    /// Seconds after which the request may succeed.
    retry_after: Option<NonZeroU32>,
    /// `true` if a stored row that the request needs can't be read.
    is_unreadable: bool,
}

/// The time in seconds after which a request that needs an unreadable row may succeed: people restore it.
const RESTORING: Option<NonZeroU32> = NonZeroU32::new(3_600);

/// An extension of a response: a stored row that the request needs can't be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeedsUnreadableRow;

impl Problem {
    /// A problem with a sentence that names the fault and the allowed values.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            member: None,
            challenge: None,
            retry_after: None,
            is_unreadable: false,
        }
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Its sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// A problem that lists its faults; the sentence counts them, or is the only one.
    pub fn with_faults(kind: Kind, faults: Faults) -> Self {
        let detail = match faults.0.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.clone(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} faults, each with its place in errors", several.len()),
        };
        Self { errors: faults.0, ..Self::new(kind, detail) }
    }

    /// The same problem with one more member.
    #[must_use]
    pub fn with_member(self, name: &'static str, value: Value) -> Self {
        Self { member: Some((name, value)), ..self }
    }

    /// A missing or bad token; `challenge` is the answer's `WWW-Authenticate`.
    pub(crate) fn unauthorized(challenge: &'static str, detail: &str) -> Self {
        Self { challenge: Some(challenge), ..Self::new(Kind::Unauthorized, detail) }
    }

    /// A missing thing, or one that the caller may not see: the same bytes for both (V2).
    pub(crate) fn not_found() -> Self {
        Self::new(Kind::NotFound, "not found")
    }

    /// The caller is no admin.
    fn admins_only() -> Self {
        Self::new(Kind::Forbidden, "only admins may do this: use a token whose role is admin")
    }

    /// Checks that the caller is an admin.
    ///
    /// # Errors
    /// It is not: 403.
    pub fn unless_admin(caller: &Caller) -> Result<(), Self> {
        match caller {
            Caller::Admin => Ok(()),
            Caller::Affiliate(_) => Err(Self::admins_only()),
        }
    }

    #[cfg(test)]
    pub(crate) fn challenge(&self) -> Option<&'static str> {
        self.challenge
    }

    /// The problem's kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, uri, title) = self.kind.row();
        let mut document =
            json!({"type": uri, "title": title, "status": status.as_u16(), "detail": self.detail, "errors": self.errors});
        if let Some((name, value)) = self.member {
            document[name] = value;
        }
        let mut response = (status, document.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.get().into());
        }
        if self.is_unreadable {
            response.extensions_mut().insert(NeedsUnreadableRow);
        }
        response
    }
}

/// A bad event is a request that can't be read; everything else that a person writes is a resource with faults (docs/problems.md).
fn kind_of(faults: &Faults) -> Kind {
    let of_event = |fault: &Fault| fault.pointer == "/event" || fault.pointer.starts_with("/event/");
    if faults.0.iter().take(MAX_FAULTS).all(of_event) { Kind::BadRequest } else { Kind::Invalid }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound => Self::not_found(),
            Refused::Removed(why) => Self::new(Kind::NotFound, why),
            Refused::Gone(why) => Self::new(Kind::Gone, why),
            Refused::Unproven => Self::unauthorized("Signature", &refused.to_string()),
            Refused::Faults(faults) => Self::with_faults(kind_of(&faults), faults),
            Refused::Changed { .. } => Self::new(Kind::Changed, refused.to_string()),
            Refused::Conflict(why) => Self::new(Kind::Conflict, why),
            Refused::TooMany(exceeded) => {
                Self { retry_after: NonZeroU32::new(exceeded.wait_seconds), ..Self::new(Kind::TooMany, exceeded.to_string()) }
            }
            Refused::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<StoreError> for Problem {
    /// Our fault: the log has the reason, the caller only learns that it may try again.
    fn from(unavailable: StoreError) -> Self {
        tracing::error!(error = %unavailable, "a request failed");
        if unavailable.is_unreadable() {
            let why = "a stored row that this request needs can't be read, and has to be restored: the log names it";
            return Self { retry_after: RESTORING, is_unreadable: true, ..Self::new(Kind::Unavailable, why) };
        }
        let problem = Self::new(Kind::Unavailable, "the store is not available at the moment: send the request again");
        Self { retry_after: Some(NonZeroU32::MIN), ..problem }
    }
}
