//! Tracking APIs: the table, and one rule's life (docs/api.md).

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{ETAG, LOCATION},
    },
    response::{IntoResponse, Response},
};
use tracking_core::{
    caller::{Actor, Caller},
    json,
    json::Value,
    tracking_api::Bulk,
};
use tracking_engine::{
    Engine,
    backend::{Backend, StoreError},
    rules::{Filter, New, Refused, View},
};

use crate::{
    Page,
    body::{Json, JsonBody, OptionalBody},
    idempotency::{self, REPLAYED},
    path::NamedId,
    preconditions::{IfMatch, etag},
    problem::Problem,
    query::Parameters,
};

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let (filter, limit, cursor) = narrowed(&uri, "owner")?;
    let (items, next) = engine.log().list_rules(&caller, &filter, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor: next }))
}

/// Reads the filters of a list of rules, with the parameter that names an owner, and its page.
pub(crate) fn narrowed(uri: &Uri, owner: &str) -> Result<(Filter, usize, Option<String>), Problem> {
    let mut query = Parameters::read(
        uri,
        &[owner, "country", "category", "offer", "trigger", "label", "active", "failing", "q", "limit", "cursor"],
    );
    let filter = Filter {
        owner: query.id(owner).map(String::from),
        country: query.text("country"),
        offer: query.id("offer").map(String::from),
        category: query.text("category"),
        trigger: query.parsed("trigger", "choose a trigger such as transaction_all", |text| text.parse().ok()),
        label: query.text("label"),
        active: query.flag("active"),
        failing: query.parsed("failing", "choose true", |text| (text == "true").then_some(true)).unwrap_or(false),
        text: query.text("q"),
        ..Filter::default()
    };
    let (limit, cursor) = (query.limit(), query.id_cursor());
    query.finish()?;
    Ok((filter, limit, cursor))
}

/// The most rules that one request changes.
const MOST_AT_ONCE: usize = 100;

/// Changes many rules in the same way, one after another; a failure of one holds no other back.
pub(crate) async fn bulk<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Problem> {
    let Bulk { ids, patch } = Bulk::parse(&body, MOST_AT_ONCE).map_err(Refused::from)?;
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        results.push(match engine.writer().patch_rule(&actor, &id, &patch, None).await {
            Ok(view) => json!({"id": id, "status": 200, "version": view.version, "detail": null}),
            Err(refused) => {
                let problem = Problem::from(refused);
                json!({"id": id, "status": problem.status().as_u16(), "version": null, "detail": problem.detail()})
            }
        });
    }
    Ok(Json(json!({"results": results})))
}

pub(crate) async fn create<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let new = new(&headers)?;
    let created = match engine.writer().create_rule(&actor, &document, new.clone()).await {
        // Another request with the same key was faster: the rule that it made exists now.
        Err(Refused::Changed { .. }) => engine.writer().create_rule(&actor, &document, new).await,
        created => created,
    };
    Ok(made(created?))
}

pub(crate) async fn duplicate<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    headers: HeaderMap,
    OptionalBody(patch): OptionalBody,
) -> Result<Response, Problem> {
    // A caller that may not see the rule learns nothing from its headers' faults either.
    engine.rules().rule(&actor.caller, &id).await?;
    Ok(made(engine.writer().duplicate_rule(&actor, &id, &patch, new(&headers)?).await?))
}

/// A rule that was made, now or before.
fn made((view, is_new): (View, bool)) -> Response {
    let location = HeaderValue::from_str(&format!("/tracking-apis/{}", view.id)).expect("an id has no control characters");
    let mut response = (StatusCode::CREATED, [(LOCATION, location)], shown(view)).into_response();
    if !is_new {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The source of the new rule's id: the caller's key, else random bytes.
fn new(headers: &HeaderMap) -> Result<New, Problem> {
    if let Some(key) = idempotency::key(headers)? {
        return Ok(New::IdempotencyKey(key));
    }
    let mut dice = [0; 16];
    aws_lc_rs::rand::fill(&mut dice).map_err(|_| StoreError::Unavailable("the system gives no random bytes".to_owned()))?;
    Ok(New::Random(dice))
}

pub(crate) async fn read<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Response, Problem> {
    Ok(shown(engine.log().rule_with_health(&caller, &id).await?))
}

pub(crate) async fn replace<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    Ok(shown(engine.writer().replace_rule(&actor, &id, &document, expected).await?))
}

pub(crate) async fn patch<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    headers: HeaderMap,
    JsonBody(patch): JsonBody,
) -> Result<Response, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    Ok(shown(engine.writer().patch_rule(&actor, &id, &patch, expected).await?))
}

pub(crate) async fn delete<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    engine.writer().delete_rule(&actor, &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A rule with its version as the entity tag.
pub(crate) fn shown(view: View) -> Response {
    ([(ETAG, etag(view.version))], Json(view.resource)).into_response()
}
