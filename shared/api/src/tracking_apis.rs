//! Tracking APIs: the table, and one rule's life (contract §2, §3).

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{ETAG, LOCATION},
    },
    response::{IntoResponse, Response},
};
use tracking_core::caller::Caller;
use tracking_engine::{
    Engine,
    backend::{Backend, Unavailable},
    rules::{Filter, New, Refused, View},
};

use crate::{
    Page,
    body::JsonBody,
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
    let mut query = Parameters::read(&uri, &["owner", "country", "offer", "active", "q", "limit", "cursor"]);
    let filter = Filter { owner: query.id("owner").map(String::from), ..columns(&mut query) };
    let (limit, cursor) = (query.limit(), query.id_cursor());
    query.finish()?;
    let (items, next) = engine.rules(&caller, &filter, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor: next }))
}

/// What the table can be narrowed down by.
pub(crate) fn columns(query: &mut Parameters) -> Filter {
    Filter {
        country: query.text("country"),
        offer: query.id("offer").map(String::from),
        active: query.flag("active"),
        text: query.text("q"),
        ..Filter::default()
    }
}

pub(crate) async fn create<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let new = new(&headers)?;
    let created = match engine.create_rule(&caller, &document, new.clone()).await {
        // Another request with the same key was faster: what it made is there now.
        Err(Refused::Changed { .. }) => engine.create_rule(&caller, &document, new).await,
        created => created,
    };
    let (view, is_new) = created?;
    let location = HeaderValue::from_str(&format!("/tracking-apis/{}", view.id)).expect("an id has no control characters");
    let mut response = (StatusCode::CREATED, [(LOCATION, location)], shown(view)).into_response();
    if !is_new {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What tells the new rule from others: the caller's key, else dice.
fn new(headers: &HeaderMap) -> Result<New, Problem> {
    if let Some(key) = idempotency::key(headers)? {
        return Ok(New::IdempotencyKey(key));
    }
    let mut dice = [0; 16];
    aws_lc_rs::rand::fill(&mut dice).map_err(|_| Unavailable("the system gives no random bytes".to_owned()))?;
    Ok(New::Random(dice))
}

pub(crate) async fn read<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Response, Problem> {
    Ok(shown(engine.rule_with_health(&caller, &id).await?))
}

pub(crate) async fn replace<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &caller, &id).await?;
    Ok(shown(engine.replace_rule(&caller, &id, &document, expected).await?))
}

pub(crate) async fn patch<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    headers: HeaderMap,
    JsonBody(patch): JsonBody,
) -> Result<Response, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &caller, &id).await?;
    Ok(shown(engine.patch_rule(&caller, &id, &patch, expected).await?))
}

pub(crate) async fn delete<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &caller, &id).await?;
    engine.delete_rule(&caller, &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A rule with its version as the entity tag.
fn shown(view: View) -> Response {
    ([(ETAG, etag(view.version))], Json(view.resource)).into_response()
}
