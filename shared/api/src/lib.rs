//! The HTTP API (contract §3): router, authorization, problem documents, resources.
//!
//! - **Who may see what is decided by the engine**, from the [`Caller`](tracking_core::caller::Caller) that [`auth`] found in the
//!   token. No handler compares owners.
//! - **Every answer that is no success is a problem document** ([`problem`]), also those that the router gives by itself.
//! - **All faults at once**, of a body and of a query alike ([`body`], [`query`]).
//!
//! The local server adds routes of its own with [`auth::protected`] before [`finish`].

mod affiliate_postbacks;
pub mod auth;
pub mod body;
mod catalogue;
mod deliveries;
mod offers;
mod path;
mod preconditions;
mod presets;
pub mod problem;
pub mod query;
mod secrets;
mod tracking_apis;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, MatchedPath, Request},
    middleware::{Next, from_fn},
    response::Response,
    routing::{get, put},
};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::{Instrument as _, field::Empty};
use tracking_engine::{Engine, backend::Backend, sender::Sender};

use auth::Auth;
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
    finish(routes(engine, sender, auth))
}

/// The routes of the API, still without what [`finish`] adds.
pub fn routes<B: Backend>(engine: Arc<Engine<B>>, sender: Sender, auth: &Auth) -> Router {
    let routes = Router::new()
        .route("/tracking-apis", get(tracking_apis::list::<B>).post(tracking_apis::create::<B>))
        .route(
            "/tracking-apis/{id}",
            get(tracking_apis::read::<B>)
                .put(tracking_apis::replace::<B>)
                .patch(tracking_apis::patch::<B>)
                .delete(tracking_apis::delete::<B>),
        )
        .route("/tracking-apis/{id}/secrets/{name}", put(secrets::write::<B>).delete(secrets::delete::<B>))
        .route("/affiliate-postbacks", get(affiliate_postbacks::list::<B>))
        .route("/deliveries", get(deliveries::list::<B>))
        .route("/deliveries/{id}", get(deliveries::read::<B>))
        .route("/offers", get(offers::list::<B>))
        .route("/offers/{id}", put(offers::write::<B>))
        .route("/macros", get(catalogue::read))
        .route("/presets", get(presets::list))
        .with_state(Hands { engine, sender });
    auth::protected(routes, auth).route("/healthz", get(alive))
}

/// Completes a router: what is not routed is answered by problems, bodies are limited to 1 MiB where a route doesn't say otherwise,
/// and every request has its span.
pub fn finish(routes: Router) -> Router {
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
