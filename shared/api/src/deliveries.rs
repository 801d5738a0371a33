//! The log: deliveries, newest first, and one with every attempt (docs/api.md).

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header::VARY},
    response::{IntoResponse as _, Response},
};
use tracking_core::{
    caller::Caller,
    delivery::{DeliveryId, State as Stage},
    fault::Faults,
    json::Value,
};
use tracking_engine::{DeliveryFilter, Engine, backend::Backend, internals::Internals, rules::Refused};

use crate::{
    Page,
    body::{Json, OptionalBody},
    csv_page,
    path::Named,
    problem::{Kind, Problem},
    query::Parameters,
};

const PARAMETERS: [&str; 13] = [
    "tracking_api_id",
    "conversion_id",
    "transaction_id",
    "affiliate_id",
    "offer_id",
    "click_id",
    "external_id",
    "state",
    "http_status",
    "from",
    "to",
    "limit",
    "cursor",
];

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = Parameters::read_repeated(&uri, &PARAMETERS, "state");
    let filter = DeliveryFilter {
        tracking_api_id: query.id("tracking_api_id"),
        conversion_id: query.id("conversion_id"),
        transaction_id: query.id("transaction_id"),
        affiliate_id: query.id("affiliate_id"),
        offer_id: query.id("offer_id"),
        click_id: query.text("click_id"),
        external_id: query.text("external_id"),
        http_status: query.parsed("http_status", "give a status such as 503", |text| {
            text.parse().ok().filter(|status| (100..=599).contains(status))
        }),
        states: query.all("state", &format!("choose {}", Stage::ALL.map(Stage::as_str).join(", ")), Stage::from_word),
        from: query.time("from"),
        to: query.time("to"),
    };
    let (limit, cursor) = (query.limit(), query.text("cursor"));
    query.finish()?;
    let found = engine.log().list(&caller, &filter, limit, cursor.as_deref()).await.map_err(|refused| match refused {
        // Beyond the query's form, only the cursor can be wrong.
        Refused::Faults(faults) => Problem::with_faults(Kind::BadRequest, at_cursor(faults)),
        other => other.into(),
    })?;
    if csv_page::is_wanted(&headers) {
        return Ok(csv_page::response(&found, &uri));
    }
    let page = Json(Page { items: found.items, next_cursor: found.next });
    Ok(([(VARY, HeaderValue::from_static("Accept"))], page).into_response())
}

fn at_cursor(faults: Faults) -> Faults {
    let mut placed = Faults::default();
    for fault in faults.0 {
        placed.add(format!("/cursor{}", fault.pointer), fault.detail);
    }
    placed
}

pub(crate) async fn read<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<Value>, Problem> {
    let id = DeliveryId::parse(&id).ok_or_else(Problem::not_found)?;
    Ok(Json(engine.log().delivery(&caller, &id).await?))
}

/// Shows the rows that decide what a delivery does next, to admins.
pub(crate) async fn internals<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<Internals>, Problem> {
    Problem::unless_admin(&caller)?;
    let id = DeliveryId::parse(&id).ok_or_else(Problem::not_found)?;
    Ok(Json(engine.log().internals(&id).await?))
}

/// Resends a delivery (L1).
pub(crate) async fn resend<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    OptionalBody(body): OptionalBody,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let id = DeliveryId::parse(&id).ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(engine.operator().resend(&caller, &id, &body).await?)))
}

/// Stops a delivery that waits or is held.
pub(crate) async fn cancel<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<Value>, Problem> {
    let id = DeliveryId::parse(&id).ok_or_else(Problem::not_found)?;
    Ok(Json(engine.operator().cancel(&caller, &id).await?))
}
