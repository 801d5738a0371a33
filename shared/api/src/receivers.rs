//! Receivers: their health, and the deliveries that wait for them.

use std::sync::Arc;

use axum::{Extension, extract::State, http::Uri};
use tracking_core::{caller::Caller, json::Value};
use tracking_engine::{Engine, backend::Backend};

use crate::{Page, body::Json, path::NamedId, problem::Problem, query::Parameters};

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let (limit, cursor) = Parameters::page(&uri)?;
    let (items, next_cursor) = engine.receivers().page(&caller, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor }))
}

pub(crate) async fn read<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Json<Value>, Problem> {
    Ok(Json(engine.receivers().one(&caller, &id).await?))
}

/// Probes one that is down now.
pub(crate) async fn probe<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Json<Value>, Problem> {
    Ok(Json(engine.receivers().probe(&caller, &id).await?))
}

/// Sends to it again.
pub(crate) async fn reset<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Json<Value>, Problem> {
    Ok(Json(engine.receivers().reset(&caller, &id).await?))
}
