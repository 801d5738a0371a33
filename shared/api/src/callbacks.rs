//! Requests from outside for steps that listen: callbacks and webhooks (W17, W18). Their senders have no token of ours.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tracking_core::{caller::Actor, json};
use tracking_engine::{Engine, IncomingRequest, backend::Backend};

use crate::{
    body::{Json, whole},
    path::{Named, NamedId},
    preconditions::IfMatch,
    problem::{Kind, Problem},
    tracking_apis::shown,
};

/// The longest query of a request from outside, in bytes.
const MAX_QUERY_BYTES: usize = 8_192;

/// The path's part that names a callback.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    token: String,
}

/// The path's part that names a webhook.
#[derive(Debug, Deserialize)]
pub(crate) struct WebhookId {
    webhook_id: String,
}

/// Takes a callback. If its token is not ours, not even the body is read.
pub(crate) async fn callback<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Named(Token { token }): Named<Token>,
    request: Request,
) -> Result<Response, Problem> {
    if request.method() == Method::HEAD {
        return Err(Problem::new(Kind::MethodNotAllowed, "a callback is GET or POST: HEAD asks for nothing"));
    }
    let callback = engine.callbacks().find(&token).await?.ok_or_else(Problem::not_found)?;
    engine.callbacks().take(&callback, incoming(request).await?).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"accepted": true}))).into_response())
}

/// Takes a webhook for the deliveries that wait for its value.
pub(crate) async fn webhook<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Named(WebhookId { webhook_id }): Named<WebhookId>,
    request: Request,
) -> Result<Response, Problem> {
    let webhook = engine.callbacks().find_webhook(&webhook_id).await?.ok_or_else(Problem::not_found)?;
    let deliveries = engine.callbacks().take_webhook(&webhook, incoming(request).await?).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"accepted": true, "deliveries": deliveries}))).into_response())
}

/// Gives a rule's webhook a new id.
pub(crate) async fn renew<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(actor): Extension<Actor>,
    NamedId(id): NamedId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expected = IfMatch::read(&headers)?.version(&engine, &actor.caller, &id).await?;
    Ok(shown(engine.writer().renew_webhook(actor, &id, expected).await?))
}

async fn incoming(request: Request) -> Result<IncomingRequest, Problem> {
    let (method, query) = (request.method().to_string(), request.uri().query().unwrap_or_default().to_owned());
    let headers = texts(request.headers());
    let body = whole(request, &()).await?.to_vec();
    if query.len() > MAX_QUERY_BYTES {
        return Err(Problem::new(Kind::TooLarge, format!("the query is too long: expected at most {MAX_QUERY_BYTES} bytes")));
    }
    Ok(IncomingRequest { method, query, headers, body })
}

/// The headers that are texts.
fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}
