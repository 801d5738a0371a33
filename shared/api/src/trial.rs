//! Trying a rule out before it is saved and after (contract §3).

use std::sync::Arc;

use axum::{Extension, extract::State};
use tracking_core::{caller::Actor, json::Value};
use tracking_engine::{Engine, backend::Backend, sender::Sender};

use crate::{
    body::{Json, JsonBody, OptionalBody, event_fits},
    path::NamedId,
    problem::Problem,
};

pub(crate) async fn test<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    State(sender): State<Sender>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    OptionalBody(body): OptionalBody,
) -> Result<Json<Value>, Problem> {
    event_fits(&body)?;
    Ok(Json(engine.test_rule(&actor, &id, &body, &sender).await?))
}

pub(crate) async fn preview<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    State(sender): State<Sender>,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Problem> {
    event_fits(&body)?;
    Ok(Json(engine.preview_rule(&actor, &body, &sender).await?))
}
