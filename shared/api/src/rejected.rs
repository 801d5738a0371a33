//! Bad events, for admins: their faults, and taking them over after all (docs/events-in.md, docs/api.md).

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri},
};
use tracking_core::{
    caller::Caller,
    fault::{self, Faults, pointer_token},
    json,
    json::Value,
};
use tracking_engine::{Engine, backend::Backend, rules::Refused};

use crate::{
    Page,
    body::{Json, OptionalBody, event_fits},
    path::Named,
    problem::{Kind, Problem},
    query::Parameters,
};

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    Problem::unless_admin(&caller)?;
    let (limit, cursor) = Parameters::page(&uri)?;
    let (items, next) = engine.matcher().rejected(limit, cursor.as_deref()).await?;
    Ok(Json(Page { items, next_cursor: next }))
}

pub(crate) async fn resubmit<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    OptionalBody(body): OptionalBody,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Problem::unless_admin(&caller)?;
    event_fits(&body)?;
    let mended = mended(&body).map_err(|faults| Problem::with_faults(Kind::Invalid, faults))?;
    engine.matcher().resubmit(&id, mended).await.map_err(|refused| match refused {
        Refused::Faults(faults) => Problem::with_faults(Kind::BadRequest, faults),
        other => other.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(json!({"accepted": 1}))))
}

/// The event in `{"event": {…}}`, if there is one.
fn mended(body: &Value) -> Result<Option<&Value>, Faults> {
    let Some(fields) = body.as_object() else {
        return Err(Faults::one("", "give an object: {\"event\": {…}}, or no body to send the event in as it was received"));
    };
    let mut faults = Faults::default();
    for unknown in fields.keys().filter(|name| *name != "event") {
        faults.add(format!("/{}", pointer_token(unknown)), fault::unknown("field", unknown, &["event"]));
    }
    let event = fields.get("event").filter(|event| !event.is_null());
    if faults.is_empty() { Ok(event) } else { Err(faults) }
}
