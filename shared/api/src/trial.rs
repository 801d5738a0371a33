//! Trying a rule out before it is saved and after (docs/api.md).

use std::sync::Arc;

use axum::{Extension, extract::State};
use tracking_core::{caller::Actor, json::Value, tracking_api::Trial};
use tracking_engine::{Engine, backend::Backend, sender::Sender};

use crate::{
    body::{Json, JsonBody, OptionalBody, event_fits},
    idempotency::Unkept,
    path::NamedId,
    problem::Problem,
};

pub(crate) async fn test<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    State(sender): State<Sender>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    OptionalBody(body): OptionalBody,
) -> Result<TrialResponse, Problem> {
    event_fits(&body)?;
    Ok((unless_sent(&body), Json(engine.trials().test_rule(&actor, &id, &body, &sender).await?)))
}

pub(crate) async fn preview<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    State(sender): State<Sender>,
    Extension(actor): Extension<Actor>,
    JsonBody(body): JsonBody,
) -> Result<TrialResponse, Problem> {
    event_fits(&body)?;
    Ok((unless_sent(&body), Json(engine.trials().preview_rule(&actor, &body, &sender).await?)))
}

/// The response of a trial; one that sends nothing is not kept.
type TrialResponse = (Option<Extension<Unkept>>, Json<Value>);

fn unless_sent(body: &Value) -> Option<Extension<Unkept>> {
    (!Trial::asks_to_send(body)).then_some(Extension(Unkept))
}
