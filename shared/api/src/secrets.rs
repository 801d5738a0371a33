//! Secrets of a rule: written, never read back (Q5).

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use tracking_core::{
    caller::Actor,
    fault::{self, Faults, pointer_token},
    id::Id,
    json::Value,
};
use tracking_engine::{Engine, backend::Backend};

use crate::{
    body::JsonBody,
    path::Named,
    preconditions::IfMatch,
    problem::{Kind, Problem},
};

pub(crate) async fn write<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    Named((id, name)): Named<(Id, String)>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<StatusCode, Problem> {
    // A caller that may not see the rule learns nothing from its body's faults either.
    engine.rules().rule(&actor.caller, &id).await?;
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    let value = value(&body).map_err(|faults| Problem::with_faults(Kind::Invalid, faults))?;
    engine.writer().put_secret(&actor, &id, (&name, value), expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    Named((id, name)): Named<(Id, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    engine.writer().delete_secret(&actor, &id, &name, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The value in `{"value": "…"}`.
fn value(body: &Value) -> Result<&str, Faults> {
    let Some(fields) = body.as_object() else {
        return Err(Faults::one("", "give an object: {\"value\": \"…\"}"));
    };
    let mut faults = Faults::default();
    for unknown in fields.keys().filter(|name| *name != "value") {
        faults.add(format!("/{}", pointer_token(unknown)), fault::unknown("field", unknown, &["value"]));
    }
    let value = fields.get("value").and_then(Value::as_str);
    if value.is_none() {
        faults.add("/value", "give the secret's value as a text");
    }
    value.filter(|_| faults.is_empty()).ok_or(faults)
}
