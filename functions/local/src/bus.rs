//! `GET /bus/events`: the events that we published, as `EventBridge` would deliver them (docs/results-out.md).

use axum::{
    Extension,
    extract::State,
    http::{Method, Uri},
};
use tracking_core::{caller::Caller, json, json::Value};
use tracking_embedded::{BusEvent, Store};
use tracking_http_api::{Operation, Page, body::Json, openapi::paths, problem::Problem, query::Parameters};

/// Returns the operation.
pub(crate) fn operation(store: Store) -> Operation {
    Operation::new(Method::GET, "/bus/events", list, paths::events::bus).with(store)
}

async fn list(State(store): State<Store>, Extension(caller): Extension<Caller>, uri: Uri) -> Result<Json<Page>, Problem> {
    Problem::unless_admin(&caller)?;
    let mut query = Parameters::read(&uri, &["after", "limit"]);
    let after = query.parsed("after", "use the id of an event, or the next_cursor of a page", |text| {
        text.parse::<i64>().ok()?.try_into().ok()
    });
    let limit = query.limit();
    query.finish()?;
    let events = store.published(after, limit)?;
    let next = events.last().filter(|_| events.len() == limit).map(|last| last.seq.to_string());
    Ok(Json(Page { items: events.iter().map(envelope).collect(), next_cursor: next }))
}

fn envelope(event: &BusEvent) -> Value {
    json!({
        "version": "0", "id": event.seq.to_string(), "source": "tracking-api", "detail-type": event.detail_type,
        "time": event.time, "account": "local", "region": "local", "resources": [], "detail": event.detail,
    })
}
