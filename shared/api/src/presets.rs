//! Ready receivers to fill in, the same for everybody.

use axum::{Json, http::Uri};
use serde_json::Value;
use tracking_core::presets;

use crate::{Page, problem::Problem, query::Parameters};

/// All of them are one page.
pub(crate) async fn list(uri: Uri) -> Result<Json<Page>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let shown = |preset| serde_json::to_value(preset).expect("it was read from JSON");
    let items: Vec<Value> = presets::all().iter().map(shown).collect();
    Ok(Json(Page { items, next_cursor: None }))
}
