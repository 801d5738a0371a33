//! The Affiliate Postback list (V2): the rules that affiliates created, never those that admins made with a condition on one.

use std::sync::Arc;

use axum::{Extension, extract::State, http::Uri};
use tracking_core::caller::Caller;
use tracking_engine::{Engine, backend::Backend, rules::Filter};

use crate::{Page, body::Json, problem::Problem, tracking_apis::narrowed};

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let (filter, limit, cursor) = narrowed(&uri, "affiliate_id")?;
    let filter = Filter { affiliates_only: true, ..filter };
    let (items, next) = engine.log().list_rules(&caller, &filter, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor: next }))
}
