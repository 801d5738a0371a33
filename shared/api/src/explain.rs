//! The reasons why rules fire on an event, or did on a conversion's, and why not (docs/api.md).

use std::sync::Arc;

use axum::{Extension, extract::State, http::Uri};
use serde::Serialize;
use tracking_core::{caller::Caller, change::notes_on, fault::Fault, json::Value};
use tracking_engine::{Engine, backend::Backend};

use crate::{
    Page,
    body::{Json, JsonBody, event_fits},
    path::NamedId,
    problem::Problem,
    query::Parameters,
};

pub(crate) async fn event<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    JsonBody(body): JsonBody,
) -> Result<Json<NotedPage>, Problem> {
    let (limit, cursor) = Parameters::page(&uri)?;
    event_fits(&body)?;
    let (items, next_cursor) = engine.log().explain(&caller, &body, limit, cursor).await?;
    let notes = body.get("event").map(|event| notes_on(event, "/event")).unwrap_or_default();
    Ok(Json(NotedPage { items, next_cursor, notes }))
}

/// A page about an event, with notes on the parts that were read in another way than they are written.
#[derive(Debug, Serialize)]
pub(crate) struct NotedPage {
    items: Vec<Value>,
    next_cursor: Option<String>,
    notes: Vec<Fault>,
}

pub(crate) async fn conversion<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let (limit, cursor) = Parameters::page(&uri)?;
    let (items, next_cursor) = engine.log().explain_conversion(&caller, &id, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor }))
}
