//! The Affiliate Postback list (V2): the rules that affiliates created, never those that admins made with a condition on one.

use std::sync::Arc;

use axum::{Extension, extract::State, http::Uri};
use tracking_core::caller::Caller;
use tracking_engine::{Engine, backend::Backend, rules::Filter};

use crate::{Page, body::Json, problem::Problem, query::Parameters, tracking_apis::columns};

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let mut query = Parameters::read(
        &uri,
        &["affiliate_id", "country", "category", "offer", "trigger", "label", "active", "failing", "q", "limit", "cursor"],
    );
    let owner = query.id("affiliate_id").map(String::from);
    let filter = Filter { owner, affiliates_only: true, ..columns(&mut query) };
    let (limit, cursor) = (query.limit(), query.id_cursor());
    query.finish()?;
    let (items, next) = engine.log().list_rules(&caller, &filter, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor: next }))
}
