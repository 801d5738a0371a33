//! The description of the API: `OpenAPI` 3.1, made from the table of operations that the router is made of.
//!
//! The input and the answers of operations are in [`paths`], the schemas in [`things`]. The words of closed lists are those that the code
//! reads.

mod about;
pub(crate) mod examples;
pub mod paths;
mod shape;
mod things;

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::{
    Components, ComponentsBuilder, Info, LicenseBuilder, OpenApi, PathItem, Paths, Tag,
    path::HttpMethod,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

pub use about::About;
use about::BEARER;
pub(crate) use about::{AboutFn, Described};

/// The text that holds for every operation.
const INTRODUCTION: &str = "\
Sends postbacks about affiliate conversions: rules say when to send which request to whom and how to read the answer.

**The caller** is named by a bearer token. An affiliate sees and changes only what it owns; what is not its own answers 404, as if \
it did not exist.

**Every answer that is no success** is a problem document (RFC 9457), with all faults at once, each with a JSON pointer to its place. A \
path that takes no such method answers 405 with `Allow`; a path that does not exist answers 404.

**Lists** come in pages: ask with the `next_cursor` of one page for the next, until it is null. \
An empty parameter of a query is the same as none.

**Nothing is done twice**: every POST that changes something takes an `Idempotency-Key`.";

/// The parts of the API, in the order in which they are read.
const TAGS: [(&str, &str); 10] = [
    ("Tracking APIs", "Rules: when to send which request, and how to read the answer"),
    ("Trying out", "The request that a rule would send, before and after it is saved"),
    ("Deliveries", "The log: requests, responses, and the next attempt"),
    ("Repair", "Sending again what failed, and what was never owed"),
    ("Receivers", "The health of receivers, and the deliveries that wait for them"),
    ("Explaining", "The reasons why a rule fired or did not"),
    ("Affiliates", "The number of rules that an affiliate may have"),
    ("Events", "Events that came in, and events that were published"),
    ("Catalogue", "Macros, steps, presets and offers: the parts of rules"),
    ("Service", "The API itself"),
];

/// The description of these operations, as JSON.
///
/// # Panics
/// If an operation refers to a schema that is not described: a test would have found it.
pub(crate) fn document(operations: &[Described]) -> Value {
    let mut paths = Paths::new();
    for operation in operations {
        let method = method(operation);
        let described = (operation.about)().operation(operation);
        let item = paths.paths.entry(operation.path.to_owned()).or_default();
        item.merge_operations(PathItem::new(method, described));
    }
    let mut document = OpenApi::new(info(), paths);
    document.components = Some(components(&written(&document.paths)));
    document.tags = Some(TAGS.map(|(name, about)| tag(name, about)).into());
    written(&document)
}

fn info() -> Info {
    let mut info = Info::new("Tracking API", env!("CARGO_PKG_VERSION"));
    info.description = Some(INTRODUCTION.to_owned());
    info.license = Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build());
    info
}

fn tag(name: &str, about: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(about)).build()
}

fn method(operation: &Described) -> HttpMethod {
    match operation.method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        other => panic!("{other} {} has no place in a description", operation.path),
    }
}

/// The schemas to which the paths refer, and those to which these refer in turn.
fn components(paths: &Value) -> Components {
    let all = things::all();
    let mut wanted: Vec<String> = spoken_of(paths).into_iter().collect();
    let (mut seen, mut components) = (BTreeSet::new(), ComponentsBuilder::new());
    while let Some(name) = wanted.pop() {
        if seen.insert(name.clone()) {
            let thing = all.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not described"));
            wanted.extend(spoken_of(&written(thing)));
            components = components.schema(name, thing.clone());
        }
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token whose claim `role` is `admin`, or `affiliate` with `affiliate_id`"))
        .build();
    components.security_scheme(BEARER, SecurityScheme::Http(token)).build()
}

/// The names of the schemas that a part of a description refers to.
fn spoken_of(part: &Value) -> BTreeSet<String> {
    match part {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix("#/components/schemas/"));
            let inner = members.values().flat_map(spoken_of);
            own.map(ToOwned::to_owned).into_iter().chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(spoken_of).collect(),
        _ => BTreeSet::new(),
    }
}

fn written(part: &impl serde::Serialize) -> Value {
    serde_json::to_value(part).expect("descriptions have text keys and no failing serializers")
}
