//! Ready receivers to fill in; presets that publish results to the platform are shown to admins alone.

use axum::{Extension, http::Uri};
use tracking_core::{caller::Caller, json::Value, presets};

use crate::{Page, body::Json, problem::Problem, query::Parameters};

/// All presets that the caller may use are one page.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Json<Page>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let shown = |preset| Value::from_serialize(preset).expect("it was read from JSON");
    let items: Vec<Value> =
        presets::all().iter().filter(|preset| !preset.admins_only || caller == Caller::Admin).map(shown).collect();
    Ok(Json(Page { items, next_cursor: None }))
}
