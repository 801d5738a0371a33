//! The request of a rule: checked when the rule is saved, rendered for every attempt (Q1–Q6).
//!
//! A [`Request`] holds the author's texts as templates in their places; [`Rendered`] is the request that is sent. The receiver
//! ([`Request::host`]) is known without rendering: no macro is allowed in a URL's scheme, host or port (Q3).

pub mod address;
mod body;
mod entry;
mod header;
mod host;
mod method;
mod part;
mod rendered;
mod signing;
mod target;
mod timeout;
mod uses;
mod variables;

use std::collections::BTreeMap;

pub(crate) use self::header::refuse_signature_headers;
use self::{
    body::Body,
    entry::QueryEntry,
    header::Header,
    part::{Part, Placed},
    target::Target,
};
pub use self::{
    method::Method,
    rendered::{Rendered, parameter},
    signing::Signing,
    timeout::Timeout,
    variables::{MAX_VARIABLE_BYTES, MAX_VARIABLES, MAX_VARIABLES_BYTES, Variables},
};
use crate::{
    document::Fields,
    fault::Faults,
    json,
    json::Value,
    template::{Allowed, Bound, Filled, Reach, RenderFault, Scope, Template},
    when::Condition,
};

/// The most headers that a rule may set.
pub const MOST_HEADERS: usize = 20;
/// The most query entries besides the URL's own.
pub const MOST_QUERY_ENTRIES: usize = 50;
/// The most fields of a body.
pub const MOST_BODY_FIELDS: usize = 200;
/// The longest text with macros, as written, in bytes.
pub const LONGEST_TEMPLATE_BYTES: usize = 16 * 1024;
/// The longest URL with its values filled in, in bytes.
pub const LONGEST_URL_BYTES: usize = 32 * 1024;
/// The longest value of a header, in bytes.
pub const LONGEST_HEADER_BYTES: usize = 16 * 1024;
/// The longest body with its values filled in, in bytes.
pub const LONGEST_BODY_BYTES: usize = 1024 * 1024;

/// The memory for a template's place, in bytes: a name of up to 1 KiB, twice.
const PLACE_BYTES: usize = 256;

/// A header that every request carries: the delivery's id, the same in every attempt (Q1, P2).
pub const DELIVERY_ID_HEADER: &str = "Tracking-Delivery-Id";
/// A header of requests by rules with steps: the step's name (W7).
pub const STEP_HEADER: &str = "Tracking-Step";
/// A header of requests by rules with steps: the step's run (W7).
pub const RUN_HEADER: &str = "Tracking-Run";
/// The `User-Agent` of a request whose rule sets none (Q1).
pub const USER_AGENT: &str = concat!("tracking-api/", env!("CARGO_PKG_VERSION"));

/// A checked request (Q1). Two are equal if they have the same [`document`](Self::document).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: Method,
    target: Target,
    query: Vec<QueryEntry>,
    headers: Vec<Header>,
    body: Body,
    timeout: Timeout,
    variables: Variables,
    signing: Option<Signing>,
    derived: Derived,
}

/// Values that follow from the texts of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Derived {
    /// The values that read the sorted query: parameters with them are not in it.
    late: Reach,
    /// The values that are made with a secret.
    secret: Reach,
    reads_sorted_query: bool,
}

impl Request {
    /// Reads `request` of a rule at `pointer`. Every fault is added to `faults`; then there is no request.
    pub fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let known = ["method", "url", "query", "headers", "body", "timeout_seconds"];
        let fields = Fields::open(Some(value), pointer, &known, &[], faults);
        let method = match fields.get("method") {
            None => Some(Method::default()),
            Some(_) => fields.word("method", &Method::WORDS, faults),
        };
        let target = Target::parse(&fields, allowed, faults);
        let query = entry::parse(&fields, allowed, faults);
        let headers = header::parse(&fields, allowed, faults);
        let body = Body::parse(&fields, allowed, faults);
        let timeout = Timeout::parse(&fields, faults);
        if method == Some(Method::Get) && body.as_ref().is_some_and(|body| *body != Body::None) {
            faults.add(fields.at("body"), "a GET has no body: choose the format none, or the method POST, PUT, PATCH or DELETE");
        }
        let request = Self {
            method: method?,
            target: target?,
            query: query?,
            headers: headers?,
            body: body?,
            timeout: timeout?,
            variables: Variables::default(),
            signing: None,
            derived: Derived::default(),
        };
        (faults.count() == before).then(|| request.with(Variables::default(), None))
    }

    /// The same request with the variables and the signature that the rule adds to each request.
    #[must_use]
    pub fn with(mut self, variables: Variables, signing: Option<Signing>) -> Self {
        (self.variables, self.signing) = (variables, signing);
        let reads_sorted_query = self.templates().any(Template::reads_sorted_query);
        self.derived.reads_sorted_query = reads_sorted_query;
        if reads_sorted_query {
            self.derived.late = self.reach(Template::reads_sorted_query);
        }
        self.derived.secret = self.reach(|template| template.secrets().next().is_some());
        self
    }

    /// The variables of the rule.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Its signature, if it has one.
    pub fn signing(&self) -> Option<&Signing> {
        self.signing.as_ref()
    }

    /// The resource form with its defaults filled in; texts exactly as they were written. Parses to an equal request.
    pub fn document(&self) -> Value {
        json!({
            "method": self.method.as_str(),
            "url": self.target.text(),
            "query": self.query.iter().map(QueryEntry::document).collect::<Vec<_>>(),
            "headers": self.headers.iter().map(Header::document).collect::<Vec<_>>(),
            "body": self.body.document(),
            "timeout_seconds": self.timeout.seconds(),
        })
    }

    /// Fills in the macros. To show a request, pass a scope with masks as secrets (Q5).
    pub fn render(&self, scope: &Scope<'_>) -> Result<Rendered, RenderFault> {
        let bound = self.bound(scope)?;
        let scope = &scope.with(&bound);
        let mut url = self.target.render(scope)?;
        self.render_query(scope, |_| true, &mut url)?;
        let mut own: Vec<(String, String)> = Vec::with_capacity(self.headers.len());
        let body = self.body.render(scope)?;
        for header in &self.headers {
            let mut value = String::new();
            let ours = matches!(self.body, Body::Multipart(_)) && header.is_content_type();
            let filled = if ours {
                Filled::Omit
            } else {
                header.value.render(scope, &mut value).map_err(|fault| fault.in_header(&header.name))?
            };
            within(LONGEST_HEADER_BYTES, value.len())?;
            if filled == Filled::Written {
                own.push((header.name.to_string(), value));
            }
        }
        let (content_type, body) = body.unzip();
        let mut headers = vec![(DELIVERY_ID_HEADER.to_owned(), scope.delivery_id.to_owned())];
        if !scope.at.step.is_empty() {
            headers.push((STEP_HEADER.to_owned(), scope.at.step.to_owned()));
            headers.push((RUN_HEADER.to_owned(), scope.at.run.to_string()));
        }
        for (name, value) in [("User-Agent", Some(USER_AGENT.to_owned())), ("Content-Type", content_type)] {
            if !own.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                headers.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        headers.extend(own);
        let mut rendered = Rendered { method: self.method, url, headers, body, timeout: self.timeout };
        if let Some(signing) = &self.signing {
            signing.sign(scope, &mut rendered)?;
        }
        Ok(rendered)
    }

    /// The values that its texts read besides those of the scope: the variables, and the sorted query if a text reads it.
    pub fn bound(&self, scope: &Scope<'_>) -> Result<Bound<'_>, RenderFault> {
        let (variables, currencies) = (BTreeMap::new(), BTreeMap::new());
        let mut bound = Bound { variables, currencies, query_sorted: String::new(), secret: &self.derived.secret };
        if self.derived.reads_sorted_query {
            self.variables.render(scope, &mut bound)?;
            let mut query = String::new();
            self.render_query(&scope.with(&bound), |template| !self.is_late(template), &mut query)?;
            bound.query_sorted = sorted(&query);
        }
        self.variables.render(scope, &mut bound)?;
        Ok(bound)
    }

    /// Adds `?` and the query to a URL: the parts of the URL's own query and the entries that `keeps` accepts.
    fn render_query(&self, scope: &Scope<'_>, keeps: impl Fn(&Template) -> bool, url: &mut String) -> Result<(), RenderFault> {
        self.target.render_query(scope, &keeps, url)?;
        for entry in self.query.iter().filter(|entry| entry.value.templates().all(&keeps)) {
            entry.render(scope, url)?;
            within(LONGEST_URL_BYTES, url.len())?;
        }
        within(LONGEST_URL_BYTES, url.len())
    }

    /// Returns true if a text reads the sorted query, and so can't be in it.
    fn is_late(&self, template: &Template) -> bool {
        template.reads_sorted_query() || self.derived.late.covers(template)
    }

    /// The receiver as `host:port`, always with the port: the address of the connection, and the key of breakers and caps.
    pub fn host(&self) -> &str {
        self.target.host()
    }

    /// Returns true if it has a header that `before` does not have.
    pub fn adds_header(&self, before: &Self) -> bool {
        self.headers.iter().any(|new| !before.headers.iter().any(|old| old.name.eq_ignore_ascii_case(&new.name)))
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The time limit of the whole request (Q4).
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// The names of the secrets that its texts read (Q5), with repeats.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.templates().flat_map(Template::secrets)
    }

    /// Its parts, each with its place inside `request`.
    fn parts(&self) -> impl Iterator<Item = (String, &Part)> {
        let query = self.query.iter().enumerate().map(|(i, entry)| (format!("/query/{i}"), &entry.value));
        let headers = self.headers.iter().enumerate().map(|(i, header)| (format!("/headers/{i}"), &header.value));
        let fields = self.body.parts().enumerate().map(|(i, part)| (format!("/body/fields/{i}"), part));
        query.chain(headers).chain(fields)
    }

    /// Every text that it may send and its place inside `request`, a JSON pointer such as `/query/0/value`: URL, query, headers, body.
    pub fn placed_templates(&self) -> impl Iterator<Item = Placed<'_>> {
        let parts = self.parts().flat_map(|(at, part)| part.placed().map(move |(place, text)| (format!("{at}{place}"), text)));
        self.url_text().into_iter().chain(parts).chain(self.raw_text())
    }

    /// Every text that it sends in this scope, including those of conditions and variables, each with its place.
    pub fn placed_templates_in<'r>(&'r self, scope: &Scope<'_>) -> impl Iterator<Item = Placed<'r>> {
        let parts = self
            .parts()
            .flat_map(|(at, part)| part.placed_in(scope).into_iter().map(move |(place, text)| (format!("{at}{place}"), text)));
        self.url_text().into_iter().chain(parts).chain(self.raw_text()).chain(self.variables.placed_in(scope))
    }

    /// The names that are sent without rendering, each with its place inside `request`: of query entries and of fields.
    pub(crate) fn placed_names(&self) -> impl Iterator<Item = (String, &str)> {
        let query = self.query.iter().enumerate().map(|(i, entry)| (format!("/query/{i}/name"), &*entry.name));
        query.chain(self.body.names().enumerate().map(|(i, name)| (format!("/body/fields/{i}/path"), name)))
    }

    fn url_text(&self) -> [Placed<'_>; 1] {
        [("/url".to_owned(), self.target.template())]
    }

    fn raw_text(&self) -> Option<Placed<'_>> {
        self.body.raw_text().map(|text| ("/body/text".to_owned(), text))
    }

    /// The conditions by which it chooses, each with its place in the rule; `at` is the request's place.
    pub(crate) fn placed_conditions(&self, at: &str) -> Vec<(String, &Condition)> {
        let parts = self.parts().flat_map(move |(part_at, part)| {
            part.conditions().map(move |(place, condition)| (format!("{at}{part_at}{place}"), condition))
        });
        parts.chain(self.variables.conditions()).collect()
    }

    /// The conditions that read a secret through variables.
    pub(crate) fn conditions_with_secrets(&self, at: &str) -> impl Iterator<Item = String> {
        let reads_secret = |condition: &Condition| {
            condition
                .templates()
                .any(|(_, template)| template.variables().any(|name| self.derived.secret.variables.contains(name)))
        };
        self.placed_conditions(at).into_iter().filter(move |(_, condition)| reads_secret(condition)).map(|(place, _)| place)
    }

    /// An estimate of the memory that the request takes, in bytes. The URL's template is stored twice.
    pub(crate) fn bytes(&self) -> usize {
        let variables = self.variables.iter().map(|(_, value)| value);
        let parts: usize = self.parts().map(|(_, part)| part).chain(variables).map(Part::bytes).sum();
        let alone = [self.target.template(); 2].into_iter().chain(self.body.raw_text());
        let texts = alone.chain(self.signing.iter().flat_map(Signing::templates));
        parts + texts.map(|template| template.bytes() + PLACE_BYTES).sum::<usize>()
    }

    /// Every text with macros: URL, query, headers, body, variables, conditions, and signed texts.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let query = self.query.iter().flat_map(|entry| entry.value.templates());
        let headers = self.headers.iter().flat_map(|header| header.value.templates());
        let variables = self.variables.iter().flat_map(|(_, value)| value.templates());
        let shared = variables.chain(self.signing.iter().flat_map(Signing::templates));
        std::iter::once(self.target.template()).chain(query).chain(headers).chain(self.body.templates()).chain(shared)
    }
}

/// The parameters of a query that begins with `?`, sorted by name.
fn sorted(query: &str) -> String {
    let mut parameters: Vec<&str> = query.trim_start_matches('?').split('&').filter(|parameter| !parameter.is_empty()).collect();
    parameters.sort_by_key(|parameter| parameter.split('=').next());
    parameters.join("&")
}

/// Refuses a rendered text that is too long.
fn within(limit_bytes: usize, bytes: usize) -> Result<(), RenderFault> {
    if bytes > limit_bytes { Err(RenderFault::TooLong { limit_bytes }) } else { Ok(()) }
}

/// Reads the required field `key` as a template.
fn template(
    fields: &Fields<'_>,
    key: &str,
    place: crate::template::Place,
    allowed: Allowed,
    faults: &mut Faults,
) -> Option<Template> {
    if fields.get(key).is_none() {
        faults.add(fields.at(key), "missing: write a text, which may hold macros such as {transaction_id}");
    }
    let text = fields.text(key, faults)?;
    Template::read(text, &fields.at(key), (place, LONGEST_TEMPLATE_BYTES), allowed, faults)
}

/// Reads the required field `key` as a name without macros.
fn name<'v>(fields: &Fields<'v>, key: &str, faults: &mut Faults) -> Option<&'v str> {
    const LONGEST_NAME_BYTES: usize = 1024;
    if fields.get(key).is_none() {
        faults.add(fields.at(key), "missing: write a name");
    }
    let name = fields.text(key, faults)?;
    if name.is_empty() || name.len() > LONGEST_NAME_BYTES {
        faults.add(fields.at(key), format!("a name of {} bytes: 1 to {LONGEST_NAME_BYTES} are allowed", name.len()));
        return None;
    }
    Some(name)
}

/// The objects of the list `key`, each opened with its `known` fields; too many are a fault.
fn objects<'v>(fields: &Fields<'v>, key: &str, most: usize, known: &[&str], faults: &mut Faults) -> Vec<(String, Fields<'v>)> {
    let items = fields.list(key, faults);
    if items.len() > most {
        faults.add(fields.at(key), format!("{} are too many: {most} are allowed", items.len()));
    }
    let opened = items.iter().take(most).enumerate().map(|(i, item)| {
        let pointer = format!("{}/{i}", fields.at(key));
        if item.is_null() {
            faults.add(pointer.clone(), format!("null is not an object: write {{…}} with {}", known.join(", ")));
        }
        let opened = Fields::open(Some(item), &pointer, known, &[], faults);
        (pointer, opened)
    });
    opened.collect()
}

#[cfg(test)]
mod tests;
