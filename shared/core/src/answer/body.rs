//! The body of a response as answer rules see it.

use std::borrow::Cow;

use url::form_urlencoded;

use super::xml::{self, Element, Unread};
use crate::{
    json::{self, Value},
    path::{BLANK, FieldPath, Step},
};

/// The most characters of a name in a note.
const MAX_SHOWN_CHARS: usize = 64;

/// A body that was read.
#[derive(Debug)]
pub(super) enum Body {
    /// JSON, whatever the content type says; of several lines of JSON the first.
    Json(Value),
    /// A well-formed XML document, whatever the content type says.
    Xml(Element),
    /// A form, by its content type or by its look.
    Form(Vec<(String, String)>),
    /// Nothing: it has no fields.
    Empty,
    /// Plain text: it has no fields.
    Text,
    /// XML with entities of its own, which are not read: it has no fields.
    Entities,
}

impl Body {
    pub(super) fn read(bytes: &[u8], content_type: &str) -> Self {
        let bytes = trimmed(bytes);
        if bytes.is_empty() {
            return Self::Empty;
        }
        if let Ok(document) = json::parse_lenient(bytes) {
            return Self::Json(document);
        }
        if json::is_json_lines(bytes) {
            let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return json::parse_lenient(first).map_or(Self::Text, Self::Json);
        }
        match read_xml(bytes) {
            Ok(document) => return Self::Xml(document),
            Err(Unread::Entities) => return Self::Entities,
            Err(Unread::NotXml) => {}
        }
        let is_form = content_type.to_ascii_lowercase().contains("x-www-form-urlencoded");
        if is_form || looks_like_form(bytes) {
            return Self::Form(form_urlencoded::parse(bytes).into_owned().collect());
        }
        Self::Text
    }

    /// The reason why the body has no fields; `None` if it has some.
    pub(super) fn unreadable(&self) -> Option<&'static str> {
        match self {
            Self::Json(Value::Object(_) | Value::Array(_)) | Self::Form(_) | Self::Xml(_) => None,
            Self::Json(_) => Some("the body is JSON, but neither an object nor a list"),
            Self::Text => Some("the body is neither JSON, XML nor a form"),
            Self::Empty => Some("the body is empty"),
            Self::Entities => Some("the body is XML with entities of its own, which are not read"),
        }
    }

    /// The reason why none of these paths can find anything in this body; `None` if one may. The first step of a path may be a macro.
    pub(super) fn misfit<'p>(&self, mut paths: impl Iterator<Item = &'p FieldPath>) -> Option<String> {
        match self {
            Self::Xml(document) => {
                let is_root = |path: &FieldPath| match path.0.first() {
                    Some(Step::Key(key)) => **key == *document.root() || key.contains(BLANK),
                    _ => false,
                };
                let misses = !paths.any(is_root);
                misses.then(|| {
                    format!("the body is XML with the root element {}, which no condition names", shown(document.root()))
                })
            }
            Self::Json(document @ (Value::Object(_) | Value::Array(_))) => {
                let first = obstacle(document, paths.next()?)?;
                paths.all(|path| obstacle(document, path).is_some()).then_some(first)
            }
            _ => self.unreadable().map(ToOwned::to_owned),
        }
    }

    /// The text of a field; `None` if it is missing.
    pub(super) fn field(&self, path: &FieldPath) -> Option<Cow<'_, str>> {
        match self {
            Self::Json(document) => text(step_into(document, path)?),
            Self::Xml(document) => document.find(&path.0),
            Self::Form(fields) => {
                let name = path.name();
                fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into())
            }
            Self::Text | Self::Entities | Self::Empty => None,
        }
    }
}

/// A body without its byte order mark and surrounding white space.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii()
}

fn read_xml(bytes: &[u8]) -> Result<Element, Unread> {
    if !bytes.starts_with(b"<") {
        return Err(Unread::NotXml);
    }
    xml::parse(std::str::from_utf8(bytes).map_err(|_| Unread::NotXml)?)
}

/// Returns true if a text has a `=` and the part before it may be a form field's name: neither a sentence nor markup.
fn looks_like_form(bytes: &[u8]) -> bool {
    let name = bytes.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_name = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'<' | b'{' | b'"');
    name.len() < bytes.len() && !name.is_empty() && name.iter().all(is_name)
}

/// The beginning of a name, for a note.
fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN_CHARS).collect()
}

/// The place at which a document has another kind of value than the path needs there, as a sentence. `None`: the path fits, or ends at
/// something that is missing or `null`.
fn obstacle(document: &Value, path: &FieldPath) -> Option<String> {
    let mut value = document;
    for (place, step) in path.0.iter().enumerate() {
        let (fits, wanted) = match step {
            Step::Key(_) => (value.is_object(), "an object"),
            Step::Index(_) | Step::Select { .. } => (value.is_array(), "a list"),
        };
        if !fits {
            let found = match value {
                Value::Null => return None,
                Value::Object(_) => "an object",
                Value::Array(_) => "a list",
                Value::String(_) => "a text",
                _ => "a single value",
            };
            let name = match place {
                0 => "the body".to_owned(),
                _ => shown(&FieldPath(path.0[..place].to_vec()).name().replace(BLANK, "{…}")),
            };
            return Some(format!("{name} is {found}, not {wanted}"));
        }
        value = one_step(value, step)?;
    }
    None
}

fn step_into<'v>(document: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    path.0.iter().try_fold(document, one_step)
}

fn one_step<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Key(key) => value.get(&**key),
        Step::Index(index) => value.get(*index),
        Step::Select { key, value: wanted } => {
            let name = key.name();
            let is_wanted = |entry: &&Value| selected_by(entry, key, &name).is_some_and(|found| found == **wanted);
            value.as_array()?.iter().find(is_wanted)
        }
    }
}

/// The text by which an entry is selected. A key with a dot may be written without a backslash, as it was before keys could be nested.
fn selected_by<'v>(entry: &'v Value, key: &FieldPath, name: &str) -> Option<Cow<'v, str>> {
    step_into(entry, key).or_else(|| entry.get(name)).and_then(text)
}

/// A JSON value as text. Numbers never pass through a float; `null` counts as missing.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}
