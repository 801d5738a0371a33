//! The HTTP API (contract §3): router, authorization, problem documents, resources.
//!
//! - **Who may see what is decided by the engine**, from the [`Caller`](tracking_core::caller::Caller) that [`auth`] found in the
//!   token. No handler compares owners.
//! - **Every answer that is no success is a problem document** ([`problem`]), also those that the router gives by itself.
//! - **All faults at once**, of a body and of a query alike ([`body`], [`query`]).
//!
//! - **Router, description and keys come from one table** ([`operations`]): what is not in it is neither served nor described.
//!
//! The local server adds rows of its own to the table ([`Operation`]).

mod affiliate_postbacks;
mod affiliates;
pub mod auth;
pub mod body;
mod catalogue;
mod deliveries;
mod history;
mod idempotency;
mod offers;
pub mod openapi;
mod operation;
mod path;
mod preconditions;
pub mod problem;
pub mod query;
mod rejected;
mod replay;
mod secrets;
mod tracking_apis;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, MatchedPath, Request},
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::{Instrument as _, field::Empty};
use tracking_engine::{Engine, backend::Backend, sender::Sender};

use auth::Auth;
use openapi::paths;
pub use operation::Operation;
use problem::{Kind, Problem};

/// The most bytes of a body, unless a route allows more.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What handlers work with; each takes the part that it needs.
#[derive(Debug)]
struct Hands<B> {
    engine: Arc<Engine<B>>,
    sender: Sender,
}

impl<B> Clone for Hands<B> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), sender: self.sender.clone() }
    }
}

impl<B> FromRef<Hands<B>> for Arc<Engine<B>> {
    fn from_ref(hands: &Hands<B>) -> Self {
        Arc::clone(&hands.engine)
    }
}

impl<B> FromRef<Hands<B>> for Sender {
    fn from_ref(hands: &Hands<B>) -> Self {
        hands.sender.clone()
    }
}

/// The whole API over this engine; `sender` sends what people try out.
pub fn router<B: Backend>(engine: Arc<Engine<B>>, sender: Sender, auth: &Auth) -> Router {
    router_with(engine, sender, auth, Vec::new())
}

/// The whole API over this engine with more operations.
pub fn router_with<B: Backend>(engine: Arc<Engine<B>>, sender: Sender, auth: &Auth, more: Vec<Operation>) -> Router {
    let hands = Hands { engine: Arc::clone(&engine), sender };
    let operations = operations::<B>().into_iter().map(|operation| operation.with(hands.clone())).chain(more).collect();
    finish(operation::routes(operations, &engine, auth))
}

/// The description of the API (OpenAPI 3.1), as it is served where nothing is added to it.
pub fn description<B: Backend>() -> Value {
    let mut rows: Vec<_> = operations::<B>().iter().map(Operation::described).collect();
    rows.push(operation::description_of_itself());
    openapi::document(&rows)
}

/// Every operation of the API.
fn operations<B: Backend>() -> Vec<Operation<Hands<B>>> {
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let (rule, secret, quota) = ("/tracking-apis/{id}", "/tracking-apis/{id}/secrets/{name}", "/affiliates/{id}/quota");
    vec![
        Operation::new(get.clone(), "/tracking-apis", tracking_apis::list::<B>, paths::rules::list),
        Operation::new(post.clone(), "/tracking-apis", tracking_apis::create::<B>, paths::rules::create).without_key(),
        Operation::new(get.clone(), rule, tracking_apis::read::<B>, paths::rules::read),
        Operation::new(put.clone(), rule, tracking_apis::replace::<B>, paths::rules::replace),
        Operation::new(patch, rule, tracking_apis::patch::<B>, paths::rules::patch),
        Operation::new(delete.clone(), rule, tracking_apis::delete::<B>, paths::rules::delete),
        Operation::new(put.clone(), secret, secrets::write::<B>, paths::rules::write_secret),
        Operation::new(delete, secret, secrets::delete::<B>, paths::rules::delete_secret),
        Operation::new(post.clone(), "/tracking-apis/{id}/duplicate", tracking_apis::duplicate::<B>, paths::rules::duplicate)
            .without_key(),
        Operation::new(get.clone(), "/tracking-apis/{id}/history", history::list::<B>, paths::rules::history),
        Operation::new(
            post.clone(),
            "/tracking-apis/{id}/history/{version}/restore",
            history::restore::<B>,
            paths::rules::restore,
        ),
        Operation::new(get.clone(), quota, affiliates::quota::<B>, paths::affiliates::quota),
        Operation::new(put.clone(), quota, affiliates::set_quota::<B>, paths::affiliates::write_quota),
        Operation::new(get.clone(), "/affiliate-postbacks", affiliate_postbacks::list::<B>, paths::rules::affiliate_postbacks),
        Operation::new(get.clone(), "/deliveries", deliveries::list::<B>, paths::deliveries::list),
        Operation::new(get.clone(), "/deliveries/{id}", deliveries::read::<B>, paths::deliveries::read),
        Operation::new(post.clone(), "/deliveries/{id}/resend", deliveries::resend::<B>, paths::repair::resend),
        Operation::new(post.clone(), "/deliveries/{id}/cancel", deliveries::cancel::<B>, paths::repair::cancel),
        Operation::new(post.clone(), "/tracking-apis/{id}/replay", replay::replay::<B>, paths::repair::replay),
        Operation::new(post.clone(), "/tracking-apis/{id}/backfill", replay::backfill::<B>, paths::repair::backfill),
        Operation::new(get.clone(), "/events/rejected", rejected::list::<B>, paths::events::rejected),
        Operation::new(post, "/events/rejected/{id}/resubmit", rejected::resubmit::<B>, paths::events::resubmit),
        Operation::new(get.clone(), "/offers", offers::list::<B>, paths::catalogue::offers),
        Operation::new(put, "/offers/{id}", offers::write::<B>, paths::catalogue::write_offer),
        Operation::new(get.clone(), "/macros", catalogue::read, paths::catalogue::macros),
        Operation::new(get, "/healthz", alive, paths::service::alive).open(),
    ]
}

/// Completes a router: what is not routed is answered by problems, bodies are limited to 1 MiB where a route doesn't say otherwise,
/// and every request has its span.
fn finish(routes: Router) -> Router {
    routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(traced))
}

/// One page of a list (contract, conventions).
#[derive(Debug, Serialize)]
pub struct Page {
    /// The items.
    pub items: Vec<Value>,
    /// What to ask for the next page with, if there is one.
    pub next_cursor: Option<String>,
}

async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn no_such_path() -> Problem {
    Problem::new(Kind::NotFound, "there is nothing at this path: GET /macros, /tracking-apis and /deliveries are good beginnings")
}

async fn no_such_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "this path does not take this method: the Allow header names those that it takes")
}

async fn traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("api", method = %request.method(), route, affiliate_id = Empty);
    async move {
        let response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}
