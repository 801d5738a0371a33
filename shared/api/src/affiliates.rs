//! Affiliates: the number of rules that each may have (V3).

use std::sync::Arc;

use axum::{Extension, extract::State};
use tracking_core::{caller::Caller, json::Value, quota::read_limit};
use tracking_engine::{Engine, backend::Backend};

use crate::{
    body::{Json, JsonBody},
    path::NamedId,
    problem::{Kind, Problem},
};

pub(crate) async fn quota<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
) -> Result<Json<Value>, Problem> {
    Ok(Json(engine.writer().quota(&caller, &id).await?))
}

pub(crate) async fn set_quota<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Problem> {
    Problem::unless_admin(&caller)?;
    let limit = read_limit(&body).map_err(|faults| Problem::with_faults(Kind::Invalid, faults))?;
    Ok(Json(engine.writer().set_quota(&id, limit).await?))
}
