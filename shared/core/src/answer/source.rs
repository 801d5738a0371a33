//! The place that a condition looks at: a source and a key (A2).

use std::borrow::Cow;

use super::{
    Answer,
    blanks::{BLANK, Text, fill},
    condition::fits,
};
use crate::{
    document::Fields,
    fault::Faults,
    path::{FieldPath, Step},
    template::Allowed,
};

/// The place that a condition looks at (A2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A field of the body.
    Body(FieldPath),
    /// The whole body.
    WholeBody,
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
            SourceKind::Body if key.is_empty() => Ok(Self::WholeBody),
            SourceKind::Body => key.parse().map(Self::Body).map_err(|fault: crate::path::NotAPath| fault.to_string()),
            SourceKind::Header if is_header_name(key) => Ok(Self::Header(key.into())),
            SourceKind::Header => Err("not a header's name: letters, digits and !#$%&'*+-.^_`|~ are allowed".to_owned()),
            SourceKind::HttpCode => Ok(Self::HttpCode),
            SourceKind::Query if key.is_empty() => Err("empty: name the parameter of the request".to_owned()),
            SourceKind::Query => Ok(Self::Query(key.into())),
            SourceKind::Constant => Ok(Self::Constant(key.into())),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Body(_) | Self::WholeBody => "body",
            Self::Header(_) => "header",
            Self::HttpCode => "http_code",
            Self::Query(_) => "query",
            Self::Constant(_) => "constant",
        }
    }

    /// The source with these values in its blanks.
    pub(super) fn filled(&self, values: &[String]) -> Self {
        let mut values = values.iter();
        let mut fill = |text: &str| fill(text, &mut values).into();
        match self {
            Self::Body(path) => Self::Body(FieldPath(path.0.iter().map(|step| filled_step(step, &mut fill)).collect())),
            Self::Header(name) => Self::Header(fill(name)),
            Self::Query(name) => Self::Query(fill(name)),
            Self::Constant(text) => Self::Constant(fill(text)),
            Self::WholeBody => Self::WholeBody,
            Self::HttpCode => Self::HttpCode,
        }
    }

    /// The steps for finding the text.
    pub(super) fn steps(&self, answer: &Answer, query: &[(String, String)]) -> usize {
        match self {
            Self::Body(_) => answer.lookup_steps(),
            Self::Header(_) => answer.headers.len(),
            Self::Query(_) => query.len(),
            Self::WholeBody | Self::HttpCode | Self::Constant(_) => 0,
        }
    }

    /// The text found there; missing is empty.
    pub(super) fn find<'a>(&'a self, answer: &'a Answer, query: &'a [(String, String)]) -> Cow<'a, str> {
        match self {
            Self::Body(path) => answer.field(path).unwrap_or_default().into(),
            Self::WholeBody => answer.text(),
            Self::Header(name) => answer.header(name).unwrap_or_default().into(),
            Self::HttpCode => answer.status.to_string().into(),
            Self::Query(name) => query.iter().find(|(n, _)| **n == **name).map_or("", |(_, value)| value).into(),
            Self::Constant(text) => (&**text).into(),
        }
    }
}

fn filled_step(step: &Step, fill: &mut impl FnMut(&str) -> Box<str>) -> Step {
    match step {
        Step::Key(key) => Step::Key(fill(key)),
        Step::Index(index) => Step::Index(*index),
        Step::Select { key, value } => Step::Select { key: fill(key), value: fill(value) },
    }
}

fn is_header_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b) || char::from(b) == BLANK;
    !name.is_empty() && name.bytes().all(is_allowed)
}

/// Where a condition looks, and its key as it was written.
pub(super) fn read_source(fields: &Fields<'_>, always: bool, allowed: Allowed, faults: &mut Faults) -> (Option<Source>, Text) {
    let kind = fields.word("source", &SOURCES, faults);
    let written = fields.text("key", faults).filter(|key| fits("key", key, fields, faults));
    let key = written.and_then(|key| Text::parse(key, &fields.at("key"), allowed, faults));
    let source = source_of(kind, key.as_ref(), fields, always, faults);
    (source, key.unwrap_or_else(|| Text::literal("")))
}

fn source_of(
    kind: Option<SourceKind>,
    key: Option<&Text>,
    fields: &Fields<'_>,
    always: bool,
    faults: &mut Faults,
) -> Option<Source> {
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
            SourceKind::Body => return Some(Source::WholeBody),
            SourceKind::Header => "the header's name, such as x-status",
            SourceKind::Query => "the name of a parameter of the request",
            SourceKind::HttpCode | SourceKind::Constant => "the text itself",
        };
        faults.add(fields.at("key"), format!("required: {what}"));
    }
    match Source::parse(kind, key?.with(&[]).text) {
        Ok(source) => Some(source),
        Err(detail) => {
            faults.add(fields.at("key"), detail);
            None
        }
    }
}
