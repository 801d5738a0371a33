//! The source of a condition's text: a kind of source and a key (A2, Q6).

use std::borrow::Cow;

use super::{
    blanks::{Text, may_read},
    condition::fits,
};
use crate::{
    answer::Response,
    document::Fields,
    fault::Faults,
    macros::plain_name,
    path::{BLANK, FieldPath, fill},
    template::{Allowed, Place, RenderFault, Scope, Template},
};

/// The response that conditions read, and the parameters of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(crate) answer: &'a Response,
    pub(crate) query: &'a [(String, String)],
}

/// The source of a condition's text.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A field of the body.
    Body(FieldPath),
    /// The whole body.
    WholeBody,
    /// A header of the response.
    Header(Box<str>),
    /// The response's status.
    HttpCode,
    /// A parameter of the request.
    Query(Box<str>),
    /// The key itself.
    Constant(Box<str>),
    /// A macro with its modifiers.
    Macro(Template),
    /// A variable.
    Variable(Template),
}

#[derive(Clone, Copy)]
enum SourceKind {
    Body,
    Header,
    HttpCode,
    Query,
    Constant,
    Macro,
    Variable,
}

/// The sources that need no response.
const OF_EVENTS: [(&str, SourceKind); 3] =
    [("macro", SourceKind::Macro), ("variable", SourceKind::Variable), ("constant", SourceKind::Constant)];

const SOURCES: [(&str, SourceKind); 7] = [
    ("body", SourceKind::Body),
    ("header", SourceKind::Header),
    ("http_code", SourceKind::HttpCode),
    ("query", SourceKind::Query),
    ("constant", SourceKind::Constant),
    ("macro", SourceKind::Macro),
    ("variable", SourceKind::Variable),
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
            SourceKind::Constant | SourceKind::Macro | SourceKind::Variable => Ok(Self::Constant(key.into())),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Body(_) | Self::WholeBody => "body",
            Self::Header(_) => "header",
            Self::HttpCode => "http_code",
            Self::Query(_) => "query",
            Self::Constant(_) => "constant",
            Self::Macro(_) => "macro",
            Self::Variable(_) => "variable",
        }
    }

    /// The source with these values in its blanks.
    pub(super) fn filled(&self, values: &[String]) -> Self {
        let mut values = values.iter();
        match self {
            Self::Body(path) => Self::Body(path.filled(&mut values)),
            Self::Header(name) => Self::Header(fill(name, &mut values).into()),
            Self::Query(name) => Self::Query(fill(name, &mut values).into()),
            Self::Constant(text) => Self::Constant(fill(text, &mut values).into()),
            Self::WholeBody | Self::HttpCode | Self::Macro(_) | Self::Variable(_) => self.clone(),
        }
    }

    /// The macro or the variable that it reads.
    pub(super) fn template(&self) -> Option<&Template> {
        if let Self::Macro(template) | Self::Variable(template) = self { Some(template) } else { None }
    }

    /// The number of steps for finding the text.
    pub(super) fn steps(&self, Exchange { answer, query }: Exchange<'_>) -> usize {
        match self {
            Self::Body(_) => answer.lookup_steps(),
            Self::Header(_) => answer.headers.len(),
            Self::Query(_) => query.len(),
            Self::WholeBody | Self::HttpCode | Self::Constant(_) | Self::Macro(_) | Self::Variable(_) => 0,
        }
    }

    /// The found text; empty if it is missing.
    pub(super) fn find<'a>(&'a self, exchange: Option<Exchange<'a>>, scope: &Scope<'_>) -> Result<Cow<'a, str>, RenderFault> {
        if let Some(template) = self.template() {
            let mut text = String::new();
            template.render(scope, &mut text)?;
            return Ok(text.into());
        }
        if let Self::Constant(text) = self {
            return Ok((&**text).into());
        }
        Ok(exchange.map_or(Cow::default(), |exchange| self.find_in(exchange)))
    }

    fn find_in<'a>(&'a self, Exchange { answer, query }: Exchange<'a>) -> Cow<'a, str> {
        match self {
            Self::Body(path) => answer.field(path).unwrap_or_default().into(),
            Self::WholeBody => answer.text(),
            Self::Header(name) => answer.header(name).unwrap_or_default().into(),
            Self::HttpCode => answer.status.to_string().into(),
            Self::Query(name) => query.iter().find(|(n, _)| **n == **name).map_or("", |(_, value)| value).into(),
            Self::Constant(_) | Self::Macro(_) | Self::Variable(_) => Cow::default(),
        }
    }
}

fn is_header_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b) || char::from(b) == BLANK;
    !name.is_empty() && name.bytes().all(is_allowed)
}

/// Reads the source of a condition, and its key as it was written.
pub(super) fn read_source(fields: &Fields<'_>, always: bool, allowed: Allowed, faults: &mut Faults) -> (Option<Source>, Text) {
    let kinds: &[_] = if allowed.answer { &SOURCES } else { &OF_EVENTS };
    let kind = fields.word("source", kinds, faults);
    let written = fields.text("key", faults).filter(|key| fits("key", key, fields, faults));
    if let Some(kind @ (SourceKind::Macro | SourceKind::Variable)) = kind {
        if fields.get("key").is_none() {
            let what = match kind {
                SourceKind::Variable => "the name of a variable",
                _ => "a macro, such as payout or result|map:approved=1",
            };
            faults.add(fields.at("key"), format!("required: {what}"));
        }
        let source = written.and_then(|key| read_macro(kind, key, &fields.at("key"), allowed, faults));
        return (source, Text::literal(written.unwrap_or_default()));
    }
    let key = written.and_then(|key| Text::parse(key, &fields.at("key"), allowed, faults));
    let is_missing = kind.is_none() && fields.get("source").is_none();
    if is_missing && (!always || fields.get("key").is_some()) {
        let choose: Vec<&str> = kinds.iter().map(|(word, _)| *word).collect();
        faults.add(fields.at("source"), format!("required: choose {}", choose.join(", ")));
    }
    let source = kind.and_then(|kind| source_of(kind, key.as_ref(), fields, faults));
    (source, key.unwrap_or_else(|| Text::literal("")))
}

fn source_of(kind: SourceKind, key: Option<&Text>, fields: &Fields<'_>, faults: &mut Faults) -> Option<Source> {
    if matches!(kind, SourceKind::HttpCode) {
        fields.refuse(&["key"], "http_code is the status itself, leave the key out", faults);
        return Some(Source::HttpCode);
    }
    if fields.get("key").is_none() {
        let what = match kind {
            SourceKind::Body => return Some(Source::WholeBody),
            SourceKind::Header => "the header's name, such as x-status",
            SourceKind::Query => "the name of a parameter of the request",
            _ => "the text itself",
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

/// Reads the key of a macro, with or without braces, or that of a variable.
fn read_macro(kind: SourceKind, key: &str, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Source> {
    if matches!(kind, SourceKind::Variable) {
        if let Err(detail) = plain_name(key) {
            faults.add(pointer, detail);
            return None;
        }
        let template = Template::parse(&format!("{{var.{key}}}"), Place::Plain, allowed).ok()?;
        return Some(Source::Variable(template));
    }
    let bare = key.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(key);
    match Template::parse_within(&format!("{{{bare}}}"), Place::Plain, allowed, faults) {
        Ok(template) if !template.is_one_macro() => {
            faults.add(pointer, "not one macro: write it with its modifiers, such as payout or result|map:approved=1");
            None
        }
        Ok(template) => may_read(&template, pointer, allowed, faults).then_some(Source::Macro(template)),
        Err(all) => {
            for fault in all {
                faults.add(pointer, fault.detail);
            }
            None
        }
    }
}
