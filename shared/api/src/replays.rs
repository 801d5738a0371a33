//! Replays and backfills: the list, their progress, and stopping one.

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
    let (items, next_cursor) = engine.operator().replays().list(&caller, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor }))
}

pub(crate) async fn read<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Json<Value>, Problem> {
    Ok(Json(engine.operator().replays().so_far(&caller, &id).await?))
}

/// Stops one before its next step.
pub(crate) async fn cancel<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Json<Value>, Problem> {
    Ok(Json(engine.operator().replays().cancel(&caller, &id).await?))
}
