//! The catalogue of macros and modifiers, with examples (docs/macros.md).

use axum::{Extension, http::Uri};
use tracking_core::{
    caller::Caller,
    flow::STEP_KINDS,
    json,
    json::Value,
    macros::{MacroInfo, catalogue, modifiers},
};

use crate::{body::Json, problem::Problem, query::Parameters};

/// Affiliates don't see the macros that only admins may use (V3).
pub(crate) async fn read(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let macros: Vec<&MacroInfo> = catalogue().iter().filter(|row| !row.admins_only || caller == Caller::Admin).collect();
    Ok(Json(json!({"macros": macros, "modifiers": modifiers()})))
}

/// The kinds of steps, each with an example (W1).
pub(crate) async fn step_kinds(uri: Uri) -> Result<Json<Value>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let items = STEP_KINDS.iter().map(|kind| {
        let example = json::parse(kind.example.as_bytes()).unwrap_or_default();
        json!({"kind": kind.kind, "description": kind.description, "fields": kind.fields, "example": example})
    });
    Ok(Json(json!({"items": items.collect::<Vec<_>>()})))
}
