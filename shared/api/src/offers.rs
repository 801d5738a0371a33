//! Offers, for admins: rules get their country and category from them (V1).

use std::sync::Arc;

use axum::{Extension, extract::State, http::Uri};
use tracking_core::{
    caller::Caller,
    fault::{self, Faults, pointer_token},
    id::{Id, NotAnId},
    json,
    json::Value,
    offer::Offer,
};
use tracking_engine::{Engine, backend::Backend};

use crate::{
    Page,
    body::{Json, JsonBody},
    path::Named,
    problem::{Kind, Problem},
    query::Parameters,
};

/// The fields of an offer that a person may write.
const FIELDS: [&str; 3] = ["name", "country", "category"];

pub(crate) async fn list<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Page>, Problem> {
    Problem::unless_admin(&caller)?;
    let (limit, cursor) = Parameters::page(&uri)?;
    let (items, next) = engine.rules().offers(limit, cursor).await?;
    Ok(Json(Page { items, next_cursor: next }))
}

pub(crate) async fn write<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Problem> {
    Problem::unless_admin(&caller)?;
    let id = id.parse::<Id>().map_err(|fault: NotAnId| Problem::new(Kind::BadRequest, format!("the offer's id is {fault}")))?;
    let offer = offer(&id, body).map_err(|faults| Problem::with_faults(Kind::Invalid, faults))?;
    engine.rules().put_offer(&offer).await?;
    Ok(Json(json!(offer)))
}

/// The whole offer: fields that the body leaves out are blank. The path names it, so that an `offer_id` in the body is ignored.
fn offer(id: &Id, mut body: Value) -> Result<Offer, Faults> {
    let Some(fields) = body.as_object_mut() else {
        return Err(Faults::one("", "give an object with name, country and category"));
    };
    fields.insert("offer_id".to_owned(), id.as_str().into());
    let mut faults = Faults::default();
    for unknown in fields.keys().filter(|name| *name != "offer_id" && !FIELDS.contains(&name.as_str())) {
        let detail = fault::unknown("field", unknown, &FIELDS);
        faults.add(format!("/{}", pointer_token(unknown)), detail);
    }
    match Offer::parse_detail(&body, "") {
        Ok(offer) if faults.is_empty() => Ok(offer),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.append(more);
            Err(faults)
        }
    }
}
