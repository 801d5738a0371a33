//! Ready receivers to fill in, the same for everybody.

use axum::http::Uri;
use tracking_core::{json::Value, presets};

use crate::{Page, body::Json, problem::Problem, query::Parameters};

/// All of them are one page.
pub(crate) async fn list(uri: Uri) -> Result<Json<Page>, Problem> {
    Parameters::read(&uri, &[]).finish()?;
    let shown = |preset| Value::from_serialize(preset).expect("it was read from JSON");
    let items: Vec<Value> = presets::all().iter().map(shown).collect();
    Ok(Json(Page { items, next_cursor: None }))
}
