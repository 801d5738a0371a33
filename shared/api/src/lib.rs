//! The HTTP API (docs/api.md): router, authorization, problem documents, resources.
//!
//! - **The engine decides who may see what**, from the [`Caller`](tracking_core::caller::Caller) that [`auth`] found in the token. No
//!   handler compares owners.
//! - **Every answer that is no success is a problem document** ([`problem`]), also those of the router itself.
//! - **All faults at once**, of a body and of a query alike ([`body`], [`query`]).
//!
//! - **Router, description and keys come from one table** ([`operations`]): an operation that is not in it is neither served nor
//!   described. The files of the [`console`] are beside it.
//!
//! The local server adds rows of its own to the table ([`Operation`]).

mod affiliate_postbacks;
mod affiliates;
pub mod auth;
pub mod body;
mod callbacks;
mod catalogue;
pub mod console;
mod csv_page;
mod deliveries;
mod explain;
mod history;
mod idempotency;
mod offers;
pub mod openapi;
mod operation;
mod operations;
mod path;
mod preconditions;
mod presets;
pub mod problem;
pub mod query;
mod receivers;
mod rejected;
mod replay;
mod replays;
mod secrets;
mod share;
mod slices;
mod statistics;
mod tracking_apis;
mod trial;

use std::sync::{Arc, OnceLock};

use crate::body::Json;
use axum::{
    Router,
    body::Bytes,
    extract::{FromRef, MatchedPath, Request},
    middleware::{Next, from_fn},
    response::Response,
};
use serde::Serialize;
use tracing::{Instrument as _, field::Empty};
use tracking_core::{json, json::Value};
use tracking_engine::{Engine, backend::Backend, sender::Sender};

use auth::Auth;
use console::Console;
use openapi::AboutFn;
use operation::NoAbout;
pub use operation::Operation;
use problem::{Kind, Problem};
pub use share::AffiliateThreads;

/// The services that handlers use; each takes the part that it needs.
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

/// The whole API over this engine with its console; `sender` sends trials, and `written` is its [`description`], made before.
pub fn router<B: Backend>(
    engine: Arc<Engine<B>>,
    sender: Sender,
    auth: &Auth,
    written: &'static [u8],
    console: &Console,
) -> Router {
    let hands = Hands { engine, sender };
    let operations = operations::all::<B, NoAbout>().into_iter().map(|operation| operation.with(hands.clone())).collect();
    let routes = operation::routes(operations, move || Bytes::from_static(written), &hands.engine, auth);
    finish(routes.merge(console::routes(console)))
}

/// The whole API over this engine with more operations, which are described too, and with a console that takes the token of a link.
pub fn router_with<B: Backend>(engine: Arc<Engine<B>>, sender: Sender, auth: &Auth, more: Vec<Operation>) -> Router {
    let hands = Hands { engine, sender };
    let operations = operations::all::<B, AboutFn>().into_iter().map(|operation| operation.with(hands.clone()));
    let operations: Vec<Operation> = operations.chain(more).collect();
    let (rows, document) = (operation::described(&operations), OnceLock::<Bytes>::new());
    let document = Arc::new(move || document.get_or_init(|| openapi::document(&rows).to_string().into()).clone());
    let routes = operation::routes(operations, move || document(), &hands.engine, auth);
    finish(routes.merge(console::routes(&Console::default())))
}

/// The description of the API (`OpenAPI` 3.1), as it is where nothing is added to it.
pub fn description<B: Backend>() -> serde_json::Value {
    openapi::document(&operation::described(&operations::all::<B, AboutFn>()))
}

/// Completes a router: requests without a route are answered by problems, and every request has its span.
fn finish(routes: Router) -> Router {
    routes.fallback(no_such_path).method_not_allowed_fallback(no_such_method).layer(from_fn(traced))
}

/// One page of a list (docs/api.md).
#[derive(Debug, Serialize)]
pub struct Page {
    /// The items.
    pub items: Vec<Value>,
    /// The cursor of the next page, if there is one.
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
