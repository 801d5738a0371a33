//! Responses of receivers and their meaning (A1–A3).

use std::{borrow::Cow, fmt, sync::OnceLock};

use crate::path::FieldPath;

pub(crate) mod assign;
mod body;
mod extracted;
mod rules;
mod set;
mod texts;
mod upgrade;
mod xml;

#[cfg(test)]
mod tests;

pub use extracted::ExtractedData;
pub use rules::{AnswerRules, Judgement, Within};
pub(crate) use texts::Rules as TextRules;
pub(crate) use upgrade::upgraded;

use body::Body;

/// The bytes of a body for which one lookup of a field counts one step.
const BYTES_PER_LOOKUP_STEP: usize = 16;

/// The reason why only the beginning of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The body is longer than the limit for reading.
    TooLong,
    /// The body came in more pieces than the limit.
    TooManyPieces,
    /// The connection ended before the body did.
    BrokeOff,
    /// Its `Content-Length` is no number, or several ones: the end of the body is unknown.
    BadLength,
    /// There was no room for the body beside others.
    NoRoom,
    /// The body's content encoding can't be undone.
    Encoded,
}

impl Cut {
    /// The reason in words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "response longer than 1 MiB",
            Self::TooManyPieces => "response in more than 20000 pieces",
            Self::BrokeOff => "response broke off",
            Self::BadLength => "response with an invalid Content-Length",
            Self::NoRoom => "too many long responses at once",
            Self::Encoded => "response in a content encoding that can't be undone",
        }
    }
}

/// A receiver's response: status, headers and body.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers in the order they came; names lower-case. Several `Set-Cookie` are one, joined by `, `.
    pub headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut: Option<Cut>,
    notes: Vec<String>,
    is_read_raw: bool,
    read: OnceLock<Body>,
    _held: Option<Box<dyn Held>>,
}

/// Something that is kept as long as a response, such as the memory that its body takes.
pub trait Held: fmt::Debug + Send + Sync + 'static {}

impl<T: fmt::Debug + Send + Sync + 'static> Held for T {}

impl Response {
    /// A complete response; header names are made lower-case.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        let headers = with_cookies_joined(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
        Self { status, headers, body, cut: None, notes: Vec::new(), is_read_raw: false, read: OnceLock::new(), _held: None }
    }

    /// The same response with a note for the log on how it was received.
    #[must_use]
    pub fn with_note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// The notes on how it was received.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The same response, of which only the beginning of the body is known. It is never judged as complete.
    #[must_use]
    pub fn cut(mut self, why: Cut) -> Self {
        self.cut = Some(why);
        self
    }

    /// The same response, which keeps `held` until it is dropped.
    #[must_use]
    pub fn holding(self, held: Option<impl Held>) -> Self {
        Self { _held: held.map(|held| Box::new(held) as Box<dyn Held>), ..self }
    }

    /// The reason why only the beginning of the body is known; `None` if the body is complete.
    pub fn why_cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Returns true if only the beginning of the body is known.
    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// The same response with another body.
    #[must_use]
    pub fn with_body(self, body: Vec<u8>) -> Self {
        Self { body, read: OnceLock::new(), ..self }
    }

    /// The body's bytes as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The same answer, of which `{body}` reads every byte: a signature is made over the bytes as they came.
    #[must_use]
    pub fn read_raw(self) -> Self {
        Self { is_read_raw: true, ..self }
    }

    /// The bytes that `{body}` reads, if it reads every one of them.
    pub(crate) fn raw(&self) -> Option<&[u8]> {
        self.is_read_raw.then_some(&*self.body)
    }

    /// The whole body as text, without its byte order mark and surrounding white space (A2).
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(body::trimmed(&self.body))
    }

    /// The field of a JSON, XML or form body, as text (A2).
    ///
    /// A JSON string is taken as it is, a number with the digits that were written, a list or an object
    /// as its JSON; `null` counts as missing. A path into XML begins with the root element.
    /// A form field's name is the whole path as text: the first field named `a.b[0]`. The body is parsed once.
    pub fn field(&self, path: &FieldPath) -> Option<String> {
        self.read().field(path).map(Cow::into_owned)
    }

    /// Returns true if the body is read as a form.
    pub fn is_form(&self) -> bool {
        matches!(self.read(), Body::Form(_))
    }

    /// The reason why none of these paths can find anything in this body; `None` if one may.
    fn misfit<'p>(&self, paths: impl Iterator<Item = &'p FieldPath>) -> Option<String> {
        self.read().misfit(paths)
    }

    /// The reason why the body has no fields.
    fn unreadable(&self) -> Option<&'static str> {
        self.read().unreadable()
    }

    fn read(&self) -> &Body {
        self.read.get_or_init(|| Body::read(&self.body, self.header("content-type").unwrap_or_default()))
    }

    /// The number of steps that one lookup of a field of the body counts.
    pub(crate) fn lookup_steps(&self) -> usize {
        match self.read() {
            Body::Form(fields) => fields.len(),
            Body::Json(_) | Body::Xml(_) | Body::Text | Body::Entities | Body::Empty => {
                1 + self.body.len() / BYTES_PER_LOOKUP_STEP
            }
        }
    }

    /// The first header with that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// The headers with all cookies joined into one: a login sets several, and the needed one may not be the first.
fn with_cookies_joined(headers: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    const SET_COOKIE: &str = "set-cookie";
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        match joined.iter_mut().find(|(before, _)| name == SET_COOKIE && before == SET_COOKIE) {
            Some((_, cookies)) => {
                cookies.push_str(", ");
                cookies.push_str(&value);
            }
            None => joined.push((name, value)),
        }
    }
    joined
}

/// The meaning of an attempt's response (A1, A2).
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
    /// The flow goes on at another step (W6): neither success nor failure.
    Branch,
}

impl Verdict {
    const WORDS: [(&str, Self); 4] =
        [("delivered", Self::Delivered), ("pending", Self::Pending), ("retry", Self::Retry), ("failed", Self::Failed)];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Branch => "branch",
        }
    }

    /// The verdict on a status if no rule decides: 2xx delivered; 408, 425, 429, 5xx retry; all others failed (A1).
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            408 | 425 | 429 | 500..=599 => Self::Retry,
            _ => Self::Failed,
        }
    }
}

/// The verdict on a timeout, a lost connection or an incomplete response: retry, whatever the rules say (A1, A2).
pub fn no_answer() -> Verdict {
    Verdict::Retry
}
