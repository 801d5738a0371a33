//! Repairing a period of a rule: sending its deliveries again, and judging kept events (contract §3).

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use tracking_core::{caller::Caller, json::Value};
use tracking_engine::{Engine, backend::Backend};

use crate::{
    body::{Json, OptionalBody},
    path::NamedId,
    problem::Problem,
};

pub(crate) async fn replay<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    OptionalBody(body): OptionalBody,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Ok(counted(engine.replay(&caller, &id, &body).await?))
}

pub(crate) async fn backfill<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    OptionalBody(body): OptionalBody,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Ok(counted(engine.backfill(&caller, &id, &body).await?))
}

/// Counts alone, or the beginning of what they count.
fn counted((counts, begins): (Value, bool)) -> (StatusCode, Json<Value>) {
    (if begins { StatusCode::ACCEPTED } else { StatusCode::OK }, Json(counts))
}
