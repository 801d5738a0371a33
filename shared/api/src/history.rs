//! The history of a rule: the author, content and time of each change, and the way back (docs/api.md).

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use tracking_core::{
    caller::{Actor, Caller},
    id::Id,
};
use tracking_engine::{Engine, backend::Backend, rules::HistoryCursor};

use crate::{
    Page,
    body::Json,
    path::{Named, NamedId},
    preconditions::IfMatch,
    problem::Problem,
    query::Parameters,
    tracking_apis::shown,
};

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    NamedId(id): NamedId,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    let mut query = Parameters::read(&uri, &["limit", "cursor"]);
    let limit = query.limit();
    let cursor = query.parsed("cursor", "use the next_cursor of a page as it is", HistoryCursor::parse);
    query.finish()?;
    let (items, next) = engine.rules().history(&caller, &id, limit, cursor).await?;
    Ok(Json(Page { items, next_cursor: next }))
}

pub(crate) async fn restore<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    Named((id, version)): Named<(Id, u64)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    Ok(shown(engine.writer().restore_rule(&actor, &id, version, expected).await?))
}
