//! One condition of an answer rule: where to look, and what must be so (domain A2).

use std::borrow::Cow;

use super::{
    Answer,
    operator::{OPERATORS, Operator},
};
use crate::{
    document::{Fields, kind},
    expression::{Steps, Stop},
    fault::Faults,
    json::{Map, Value},
    path::FieldPath,
};

/// The memory that the parts of a condition take beside their texts, in bytes.
const PARTS_BYTES: usize = 160;
/// The longest key or value of a condition, in bytes.
const MAX_TEXT: usize = 16 * 1_024;

/// Where a condition looks (A2).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A field of the body.
    Body(FieldPath),
    /// A header of the answer.
    Header(Box<str>),
    /// The answer's status.
    HttpCode,
    /// A parameter of the request that was sent.
    Query(Box<str>),
    /// The key itself.
    Constant(Box<str>),
}

#[derive(Clone, Copy)]
enum SourceKind {
    Body,
    Header,
    HttpCode,
    Query,
    Constant,
}

const SOURCES: [(&str, SourceKind); 5] = [
    ("body", SourceKind::Body),
    ("header", SourceKind::Header),
    ("http_code", SourceKind::HttpCode),
    ("query", SourceKind::Query),
    ("constant", SourceKind::Constant),
];

impl Source {
    fn parse(kind: SourceKind, key: &str) -> Result<Self, String> {
        match kind {
            SourceKind::Body => key.parse().map(Self::Body).map_err(|fault: crate::path::NotAPath| fault.to_string()),
            SourceKind::Header if is_header_name(key) => Ok(Self::Header(key.into())),
            SourceKind::Header => Err("not a header's name: letters, digits and !#$%&'*+-.^_`|~ are allowed".to_owned()),
            SourceKind::HttpCode => Ok(Self::HttpCode),
            SourceKind::Query if key.is_empty() => Err("empty: name the parameter of the request".to_owned()),
            SourceKind::Query => Ok(Self::Query(key.into())),
            SourceKind::Constant => Ok(Self::Constant(key.into())),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Body(_) => "body",
            Self::Header(_) => "header",
            Self::HttpCode => "http_code",
            Self::Query(_) => "query",
            Self::Constant(_) => "constant",
        }
    }

    fn key(&self) -> Option<String> {
        match self {
            Self::Body(path) => Some(path.to_string()),
            Self::Header(key) | Self::Query(key) | Self::Constant(key) => Some(key.to_string()),
            Self::HttpCode => None,
        }
    }

    /// The steps for finding the text.
    fn steps(&self, answer: &Answer, query: &[(String, String)]) -> usize {
        match self {
            Self::Body(_) => answer.lookup_steps(),
            Self::Header(_) => answer.headers.len(),
            Self::Query(_) => query.len(),
            Self::HttpCode | Self::Constant(_) => 0,
        }
    }

    /// The text found there; missing is empty.
    fn find<'a>(&'a self, answer: &'a Answer, query: &'a [(String, String)]) -> Cow<'a, str> {
        match self {
            Self::Body(path) => answer.field(path).unwrap_or_default().into(),
            Self::Header(name) => answer.header(name).unwrap_or_default().into(),
            Self::HttpCode => answer.status.to_string().into(),
            Self::Query(name) => query.iter().find(|(n, _)| **n == **name).map_or("", |(_, value)| value).into(),
            Self::Constant(text) => (&**text).into(),
        }
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// One condition of an answer rule: source, operator, and the values as they were written (A2).
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// Where to look; only `always` may do without.
    source: Option<Source>,
    operator: Operator,
    word: &'static str,
    value: Option<String>,
    value2: Option<String>,
}

impl Condition {
    /// Reads one entry of `when`; `None` after a fault.
    pub(super) fn parse(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let known = ["source", "key", "operator", "value", "value2"];
        if value.is_null() {
            faults.add(pointer, format!("null is not an object: write {{…}} with {}", known.join(", ")));
            return None;
        }
        let fields = Fields::open(Some(value), pointer, &known, &[], faults);
        if !value.is_object() {
            return None;
        }
        let before = faults.count();
        let words = OPERATORS.each_ref().map(|info| (info.word, info));
        let info = fields.word("operator", &words, faults);
        if fields.get("operator").is_none() {
            faults.add(fields.at("operator"), format!("required: choose {}", words.map(|(word, _)| word).join(", ")));
        }
        let always = info.is_some_and(|info| info.word == "always");
        let source = read_source(&fields, always, faults);
        let value = read_operand(&fields, "value", faults);
        let value2 = read_operand(&fields, "value2", faults);
        let info = info?;
        for (n, key) in [(1, "value"), (2, "value2")] {
            match (fields.get(key).is_some(), info.values >= n) {
                (false, true) => faults.add(fields.at(key), format!("required: {} compares with it", info.word)),
                (true, false) => faults.add(fields.at(key), format!("{} takes no {key}: leave it out", info.word)),
                _ => {}
            }
        }
        if faults.count() > before {
            return None;
        }
        match (info.make)(value.as_deref().unwrap_or_default(), value2.as_deref().unwrap_or_default(), faults.expressions()) {
            Ok(operator) => Some(Self { source, operator, word: info.word, value, value2 }),
            Err((key, detail)) => {
                faults.add(fields.at(key), detail);
                None
            }
        }
    }

    /// The resource's form, as it was written.
    pub(super) fn document(&self) -> Value {
        let mut map = Map::new();
        if let Some(source) = &self.source {
            map.insert("source".to_owned(), source.word().into());
            map.extend(source.key().map(|key| ("key".to_owned(), key.into())));
        }
        map.insert("operator".to_owned(), self.word.into());
        map.extend(self.value.clone().map(|value| ("value".to_owned(), value.into())));
        map.extend(self.value2.clone().map(|value| ("value2".to_owned(), value.into())));
        Value::Object(map)
    }

    /// Whether it holds of an answer and the parameters of the request that was sent.
    pub(super) fn holds(&self, answer: &Answer, query: &[(String, String)], steps: &Steps) -> Result<bool, Stop> {
        let found = match &self.source {
            None => Cow::default(),
            Some(source) => {
                steps.take(source.steps(answer, query))?;
                source.find(answer, query)
            }
        };
        self.operator.holds(&found, steps)
    }

    /// Whether it always holds.
    pub(super) fn is_always(&self) -> bool {
        matches!(self.operator, Operator::Always)
    }

    /// Whether it looks at the status.
    pub(super) fn asks_status(&self) -> bool {
        matches!(self.source, Some(Source::HttpCode))
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let key = self.source.as_ref().and_then(Source::key).map_or(0, |key| key.len());
        let values: usize = [&self.value, &self.value2].into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + PARTS_BYTES + 4 * key + 2 * values + self.operator.bytes()
    }
}

fn read_source(fields: &Fields<'_>, always: bool, faults: &mut Faults) -> Option<Source> {
    let kind = fields.word("source", &SOURCES, faults);
    let key = fields.text("key", faults).filter(|key| fits("key", key, fields, faults));
    let Some(kind) = kind else {
        if fields.get("source").is_none() && (!always || fields.get("key").is_some()) {
            let choose = SOURCES.map(|(word, _)| word).join(", ");
            faults.add(fields.at("source"), format!("required: choose {choose}"));
        }
        return None;
    };
    if matches!(kind, SourceKind::HttpCode) {
        fields.refuse(&["key"], "http_code is the status itself, leave the key out", faults);
        return Some(Source::HttpCode);
    }
    if fields.get("key").is_none() {
        let what = match kind {
            SourceKind::Body => "the field of the body, such as data.items[0].status",
            SourceKind::Header => "the header's name, such as x-status",
            SourceKind::Query => "the name of a parameter of the request",
            SourceKind::HttpCode | SourceKind::Constant => "the text itself",
        };
        faults.add(fields.at("key"), format!("required: {what}"));
    }
    match Source::parse(kind, key?) {
        Ok(source) => Some(source),
        Err(detail) => {
            faults.add(fields.at("key"), detail);
            None
        }
    }
}

/// A value to compare with: a text, or a number or flag taken as it is written.
fn read_operand(fields: &Fields<'_>, key: &str, faults: &mut Faults) -> Option<String> {
    let value = fields.get(key)?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => {
            faults.add(fields.at(key), format!("{} can't be compared with: write a text, a number, true or false", kind(other)));
            return None;
        }
    };
    fits(key, &text, fields, faults).then_some(text)
}

fn fits(key: &str, text: &str, fields: &Fields<'_>, faults: &mut Faults) -> bool {
    if text.len() > MAX_TEXT {
        faults.add(fields.at(key), format!("{} bytes are too many: {MAX_TEXT} are allowed", text.len()));
    }
    text.len() <= MAX_TEXT
}
