//! Repairing a period of a rule: resending its deliveries, and judging kept events (docs/api.md).

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use tracking_core::{caller::Caller, json::Value};
use tracking_engine::{Engine, backend::Backend};

use crate::{
    body::{Json, OptionalBody},
    idempotency::Unkept,
    path::NamedId,
    problem::Problem,
};

pub(crate) async fn replay<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    OptionalBody(body): OptionalBody,
) -> Result<Counts, Problem> {
    Ok(counted(engine.operator().replay(&caller, &id, &body).await?))
}

pub(crate) async fn backfill<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    OptionalBody(body): OptionalBody,
) -> Result<Counts, Problem> {
    Ok(counted(engine.operator().backfill(&caller, &id, &body).await?))
}

/// The counts alone, as an answer that is not kept; or the counts of a replay or a backfill that has begun.
type Counts = (StatusCode, Option<Extension<Unkept>>, Json<Value>);

fn counted((counts, begins): (Value, bool)) -> Counts {
    let status = if begins { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, (!begins).then_some(Extension(Unkept)), Json(counts))
}
