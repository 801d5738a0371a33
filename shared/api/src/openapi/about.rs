//! The description of one operation: its purpose, its input, its answers.
//!
//! Problems that follow from the rest are not described again: a path with names can lead nowhere (404), a body can be unreadable (400),
//! too large (413) or of another type (415), and so on.

use std::{borrow::Cow, collections::BTreeMap};

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Header, RefOr, Required, Response, ResponseBuilder, Schema,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    security::SecurityRequirement,
};

use super::shape::{id, named, pattern, short, text, whole, word};
use crate::{body::in_words, problem::Kind};

/// A function that makes the description of an operation.
pub(crate) type AboutFn = fn() -> About;

/// A row of the table as the description needs it.
pub(crate) struct Described {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) about: AboutFn,
    pub(crate) open: bool,
    pub(crate) repeatable: bool,
    pub(crate) max_bytes: usize,
}

/// The name of the one security scheme.
pub(super) const BEARER: &str = "bearer";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The description of one operation.
pub struct About {
    name: &'static str,
    tag: &'static str,
    summary: &'static str,
    text: &'static str,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    answers: Vec<(u16, Response)>,
    problems: BTreeMap<u16, Vec<(Kind, Cow<'static, str>)>>,
    stored: bool,
}

struct Body {
    types: &'static [&'static str],
    schema: RefOr<Schema>,
    example: Value,
    required: bool,
}

/// The note on an operation that may be repeated with a key.
const REPEATED: &str = "With `Idempotency-Key` the same request again gets the first answer again, for 24 hours, and does nothing twice. \
Only answers 2xx are kept; after any other answer the request runs again.";

impl About {
    /// An operation by its name, the part of the API it belongs to, a summary of a line, and the further text.
    pub(super) fn new(name: &'static str, tag: &'static str, summary: &'static str, text: &'static str) -> Self {
        Self {
            name,
            tag,
            summary,
            text,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: BTreeMap::new(),
            stored: true,
        }
    }

    /// The operation asks the store nothing, so that it never answers 503.
    pub(super) fn without_store(self) -> Self {
        Self { stored: false, ..self }
    }

    /// A parameter of the query.
    pub(super) fn query(self, name: &str, about: &str, schema: impl Into<RefOr<Schema>>, example: impl Into<Value>) -> Self {
        self.parameter(ParameterIn::Query, name, about, schema.into(), example.into())
    }

    /// `limit` and `cursor`.
    pub(super) fn pages(self, cursor: impl Into<RefOr<Schema>>, example: &str) -> Self {
        self.query("limit", "The most items of the page; 100 unless set", whole("", 1..=1_000), 100).query(
            "cursor",
            "The `next_cursor` of the page before, as it is",
            cursor,
            example,
        )
    }

    /// `If-Match`.
    pub(super) fn if_match(self) -> Self {
        let tags = pattern("", "^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$");
        let about = "ETags as they were read: nothing changes unless the rule still has one of them";
        self.parameter(ParameterIn::Header, "If-Match", about, tags.into(), "\"4\"".into())
            .gives(Kind::BadRequest, "`If-Match` can't be read.")
            .gives(Kind::Changed, "The rule is at another version than `If-Match` names.")
    }

    /// A JSON body.
    pub(super) fn takes(self, schema: &str, example: Value) -> Self {
        self.takes_any(&[JSON], named(schema), example)
    }

    /// A body of these media types.
    pub(super) fn takes_any(self, types: &'static [&'static str], schema: RefOr<Schema>, example: Value) -> Self {
        Self { body: Some(Body { types, schema, example, required: true }), ..self }
    }

    /// A JSON body that may be left out: everything in it may.
    pub(super) fn may_take(self, schema: &str, example: Value) -> Self {
        Self { body: Some(Body { types: &[JSON], schema: named(schema), example, required: false }), ..self }
    }

    /// An answer of a success.
    pub(super) fn answers(mut self, status: u16, about: &str, schema: &str, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(named(schema))).example(Some(example)).build();
        self.answers.push((status, ResponseBuilder::new().description(about).content(JSON, content).build()));
        self
    }

    /// The same success as text of another type, which an `Accept` header asks for.
    pub(super) fn also_as(mut self, kind: &str, about: &str, example: &str) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(RefOr::from(short(about, usize::from(u16::MAX) * 1_024))))
            .example(Some(example.into()));
        if let Some((_, answer)) = self.answers.last_mut() {
            answer.content.insert(kind.to_owned(), RefOr::T(content.build()));
        }
        self
    }

    /// A success without content.
    pub(super) fn answers_nothing(mut self, about: &str) -> Self {
        self.answers.push((204, Response::new(about)));
        self
    }

    /// A header of every success.
    pub(super) fn with_header(mut self, name: &str, about: &str, example: &str) -> Self {
        for (_, answer) in &mut self.answers {
            let mut header = Header::new(text(""));
            header.description = Some(about.to_owned());
            header.example = Some(example.into());
            answer.headers.insert(name.to_owned(), RefOr::T(header));
        }
        self
    }

    /// A rule's version as the entity tag.
    pub(super) fn tagged(self) -> Self {
        self.with_header("ETag", "The rule's version, for `If-Match`", "\"4\"")
    }

    /// A problem that it can give, and its cause.
    pub(super) fn gives(mut self, kind: Kind, when: impl Into<Cow<'static, str>>) -> Self {
        self.problems.entry(kind.status().as_u16()).or_default().push((kind, when.into()));
        self
    }

    /// It is limited for each caller: `when` names the limit.
    pub(super) fn limited(self, when: &'static str) -> Self {
        self.gives(Kind::TooMany, when)
    }

    /// It is for admins.
    pub(super) fn admins(self) -> Self {
        self.gives(Kind::Forbidden, "Only admins may do this.")
    }

    /// It makes a rule, with a key of its own kind.
    pub(super) fn keyed(self) -> Self {
        let about = "The same key again gives the rule that it made before, also after it was changed";
        self.key(about)
    }

    fn key(self, about: &str) -> Self {
        let key = pattern("", "^[!-~]{1,255}$");
        self.parameter(ParameterIn::Header, "Idempotency-Key", about, key.into(), "0f8fad5b-d9cb-469f-a165-70867728950e".into())
            .with_header("Idempotent-Replayed", "`true` if this was done before, by the same key", "true")
            .gives(Kind::BadRequest, "`Idempotency-Key` can't be used.")
            .gives(Kind::Conflict, "The `Idempotency-Key` was used for something else, or the first request with it still runs.")
    }

    fn parameter(mut self, place: ParameterIn, name: &str, about: &str, schema: RefOr<Schema>, example: Value) -> Self {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required).description(Some(about));
        self.parameters.push(parameter.schema(Some(schema)).example(Some(example)).build());
        self
    }

    /// The description of the operation in this row of the table.
    pub(crate) fn operation(self, row: &Described) -> Operation {
        let Described { method, path, open, repeatable, max_bytes, .. } = row;
        let (path, open, repeatable) = (*path, *open, *repeatable);
        let too_large = format!("The body has more than {}.", in_words(*max_bytes));
        let mut about = self;
        for name in names(path) {
            let (what, schema, example) = named_part(path, name);
            about = about.parameter(ParameterIn::Path, name, what, schema, example.into());
        }
        if repeatable {
            about = about.key("Makes the request repeatable");
            if about.body.is_none() {
                about = about.gives(Kind::TooLarge, too_large.clone());
            }
        }
        let about = about.with_what_follows(path, open, too_large);
        let mut operation = OperationBuilder::new()
            .operation_id(Some(about.name))
            .tag(about.tag)
            .summary(Some(about.summary))
            .description(Some(if repeatable { format!("{}\n\n{REPEATED}", about.text) } else { about.text.to_owned() }))
            .parameters((!about.parameters.is_empty()).then_some(about.parameters));
        if let Some(body) = about.body {
            let content = || ContentBuilder::new().schema(Some(body.schema.clone())).example(Some(body.example.clone())).build();
            let required = if body.required { Required::True } else { Required::False };
            let request = RequestBodyBuilder::new().required(Some(required));
            let request = body.types.iter().fold(request, |request, kind| request.content(*kind, content()));
            operation = operation.request_body(Some(request.build()));
        }
        for (status, answer) in about.answers {
            operation = operation.response(status.to_string(), answer);
        }
        for (status, kinds) in about.problems {
            operation = operation.response(status.to_string(), problem(&kinds, method, path));
        }
        let security = if open { SecurityRequirement::default() } else { SecurityRequirement::new(BEARER, [""; 0]) };
        operation.security(security).build()
    }

    /// The problems that follow from its input.
    fn with_what_follows(self, path: &str, open: bool, too_large: String) -> Self {
        let (has_names, has_body, stored) = (path.contains('{'), self.body.is_some(), self.stored);
        let takes_any_type = self.body.as_ref().is_some_and(|body| body.types == ["*/*"]);
        let has_query = self.parameters.iter().any(|parameter| parameter.parameter_in == ParameterIn::Query);
        let mut about = self;
        if !open {
            about = about
                .gives(Kind::Unauthorized, "The token is missing or not valid.")
                .gives(Kind::Forbidden, "The token's role or affiliate can't be read.")
                .limited("The affiliate has 128 requests open.");
        }
        if has_names {
            about = about.gives(Kind::NotFound, "Not found, or not visible to the caller: the same bytes for both.");
        }
        if has_query {
            about = about.gives(Kind::BadRequest, "The query has faults.");
        }
        if has_body {
            about = about.gives(Kind::TooLarge, too_large);
        }
        if has_body && !takes_any_type {
            about = about
                .gives(Kind::BadRequest, "The body can't be read.")
                .gives(Kind::UnsupportedMediaType, "The body has a content type that is not taken.");
        }
        if stored {
            about = about.gives(Kind::Unavailable, "The store can't be reached: `Retry-After` says when to try again.");
        }
        about
    }
}

/// The names in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// A named part of a path: its meaning, its form, an example.
fn named_part(path: &str, name: &str) -> (&'static str, RefOr<Schema>, &'static str) {
    let kind = path.split('/').nth(1).unwrap_or_default();
    match (kind, name) {
        (_, "token") => ("The token of the callback URL", short("", 512).into(), "dHJrXzEKZGx2X…"),
        (_, "webhook_id") => ("The webhook's id", short("", 64).into(), "whk_0b0273a452d57764bc6945f3353f69c9"),
        (_, "name") => ("The secret's name", pattern("", "^[A-Za-z0-9_-]{1,64}$").into(), "token"),
        (_, "version") => ("A version of the rule", pattern("", "^[1-9][0-9]{0,15}$").into(), "3"),
        ("deliveries", _) => ("The delivery's id", short("", 64).into(), super::examples::DELIVERY),
        ("conversions", _) => ("The conversion's id", id("").into(), "cnv_1"),
        ("affiliates", _) => ("The affiliate's id", id("").into(), "aff_7"),
        ("offers", _) => ("The offer's id", id("").into(), "off_5"),
        ("replays", _) => ("The id of the replay or backfill", id("").into(), super::examples::REPLAY),
        ("receivers", _) => ("The receiver's id", id("").into(), super::examples::RECEIVER),
        ("events", _) => ("The rejected event's id", short("", 128).into(), super::examples::REJECTED),
        _ => ("The rule's id", id("").into(), super::examples::RULE),
    }
}

/// One answer that is no success, with an example of each kind that it can be.
fn problem(kinds: &[(Kind, Cow<'static, str>)], method: &Method, path: &str) -> Response {
    let mut causes: Vec<&str> = Vec::new();
    for (_, when) in kinds {
        if !causes.contains(&when.as_ref()) {
            causes.push(when);
        }
    }
    let kind = kinds.first().map_or(Kind::NotFound, |(kind, _)| *kind);
    let content: Content =
        ContentBuilder::new().schema(Some(named("Problem"))).example(Some(example(kind, causes[0], method, path))).build();
    let mut response = ResponseBuilder::new().description(causes.join(" ")).content(PROBLEM, content).build();
    let header = |about: &str, example: &str| {
        let mut header = Header::new(text(""));
        (header.description, header.example) = (Some(about.to_owned()), Some(example.into()));
        RefOr::T(header)
    };
    match kind {
        Kind::Unauthorized => {
            response.headers.insert("WWW-Authenticate".to_owned(), header("The scheme that is asked for", "Bearer"));
        }
        Kind::TooMany => {
            response.headers.insert("Retry-After".to_owned(), header("Seconds after which the next is allowed", "34"));
        }
        Kind::Unavailable => {
            response.headers.insert("Retry-After".to_owned(), header("Seconds to wait", "1"));
        }
        _ => {}
    }
    response
}

/// A problem document of that kind.
fn example(kind: Kind, when: &str, method: &Method, path: &str) -> Value {
    let (status, uri, title) = kind.row();
    let errors = match kind {
        Kind::Invalid if path.starts_with("/tracking-apis") && *method != Method::GET => {
            json!([{"pointer": "/retry/max_retries", "detail": "31 retries are too many: choose 0 to 30"}])
        }
        _ => json!([]),
    };
    let detail = if errors == json!([]) {
        when.trim_end_matches('.')
    } else {
        "/retry/max_retries: 31 retries are too many: choose 0 to 30"
    };
    json!({"type": uri, "title": title, "status": status.as_u16(), "detail": detail, "errors": errors})
}

/// A word of a closed list, as a parameter.
pub(super) fn choice<'a>(words: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    word("", words).into()
}
