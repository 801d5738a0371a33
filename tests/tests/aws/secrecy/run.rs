//! The functions and the API over one AWS, and the search for secrets in all of their output.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;
use tracking_aws::{Aws, Settings, Stack};
use tracking_engine::{
    Clock, Engine,
    backend::{Backend as _, Key},
};
use tracking_http_api::auth::{Auth, CheckedClaims, ClaimNames};
use tracking_tests::{
    cloud::Queue,
    functions::{Functions, config},
    traces::Traces,
};

use crate::secrecy::search::secrets_in;

/// The caller of a request: an admin.
pub(crate) const ADMIN: &str = "admin";
/// The caller of a request: an affiliate.
pub(crate) const AFFILIATE: &str = "aff_7";

/// A run of the whole system.
pub(crate) struct Run {
    functions: Functions,
    router: Router,
    engine: Arc<Engine<Aws>>,
    traces: Traces,
    called: BTreeSet<String>,
    /// The places at which a secret was found, with the text around it.
    found: Vec<String>,
    /// The number of texts that were searched, by their kind.
    looked: BTreeMap<&'static str, usize>,
}

impl Run {
    pub(crate) fn start() -> Self {
        let traces = Traces::as_logged();
        let functions = Functions::start_with(&[("TRACKING_KEEP_EVENTS", "true")]);
        let mut variables = functions.cloud.environment();
        variables.insert("TRACKING_KEEP_EVENTS".to_owned(), "true".to_owned());
        let settings = Settings::read(variables).expect("an AWS of ours names all settings");
        let clock = functions.clock.clone();
        let stack = Stack::new(&config(&functions.cloud), settings, Clock::new(move || clock.now()));
        let sender = stack.sender().expect("it can send");
        let engine = Arc::new(stack.engine);
        let router =
            tracking_http_api::router_with(Arc::clone(&engine), sender, &Auth::Gateway(ClaimNames::default()), Vec::new());
        let (called, found, looked) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
        Self { functions, router, engine, traces, called, found, looked }
    }

    /// Calls an operation, which must succeed. Returns its answer.
    pub(crate) async fn call(&mut self, who: &str, line: &str, body: Value) -> Value {
        let (status, answer) = self.answer(who, line, body).await;
        // If the delivery has ended before it is stopped, a conflict is the answer.
        let conflict = status == 409 && (line.ends_with("/cancel") || line.ends_with("/probe"));
        assert!((200..300).contains(&status) || conflict, "{line}: {status} {answer}");
        answer
    }

    /// Calls an operation, which must refuse.
    pub(crate) async fn refused(&mut self, who: &str, line: &str, body: Value) {
        let (status, answer) = self.answer(who, line, body).await;
        assert_eq!(status, 422, "{line}: {answer}");
    }

    async fn answer(&mut self, who: &str, line: &str, body: Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), "alice".into());
        claims.insert("role".to_owned(), if who == ADMIN { ADMIN } else { "affiliate" }.into());
        claims.insert("affiliate_id".to_owned(), who.into());
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if method == "POST" {
            request = request
                .header("idempotency-key", format!("key-{}", self.called.len() * 1_000 + self.looked.values().sum::<usize>()));
        }
        let mut request = request.body(body).expect("the test's parts are well-formed");
        request.extensions_mut().insert(CheckedClaims(claims.into_iter().map(|(name, claim)| (name, claim.into())).collect()));
        let answer = self.router.clone().oneshot(request).await.expect("the router has no other failures");
        let (head, body) = answer.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.expect("it is in memory").to_vec()).expect("it is text");
        // The query is the caller's own text.
        let asked = line.split('?').next().unwrap_or_default();
        self.look("answers", &format!("{asked}: {:?} {text}", head.headers));
        self.called.insert(format!("{method} {}", path.split('?').next().unwrap_or_default()));
        self.look_around().await;
        (head.status.as_u16(), serde_json::from_str(&text).unwrap_or_default())
    }

    /// Sends an event of the platform's bus.
    pub(crate) async fn bus(&mut self, event: &Value) {
        self.functions.ingest(&event.clone().into()).await;
        self.look_around().await;
    }

    /// Lets the functions work, second by second.
    pub(crate) async fn pass(&mut self, time: SignedDuration) {
        for _ in 0..time.as_secs() {
            self.functions.pass(SignedDuration::from_secs(1), SignedDuration::from_secs(1)).await;
            self.look_around().await;
        }
    }

    /// Returns the number of rows whose bodies hold this text now.
    pub(crate) async fn rows_with(&self, text: &str) -> usize {
        let mut count = 0;
        for item in self.functions.cloud.items() {
            let key = Key::new(item["pk"]["S"].as_str().expect("a key"), item["sk"]["S"].as_str().expect("a key"));
            let read = self.engine.backend().get(&[key]).await.expect("AWS is there");
            count += read.into_iter().flatten().filter(|item| item.body.contains(text)).count();
        }
        count
    }

    /// Searches all that is stored, queued and published now.
    async fn look_around(&mut self) {
        let items = self.functions.cloud.items();
        let keys: Vec<Key> = items
            .iter()
            .map(|item| Key::new(item["pk"]["S"].as_str().expect("a key"), item["sk"]["S"].as_str().expect("a key")))
            .collect();
        // Bodies are compressed in the table: they are read as the engine reads them.
        for chunk in keys.chunks(100) {
            let read = self.engine.backend().get(chunk).await.expect("AWS is there");
            for item in read.into_iter().flatten() {
                self.look("rows", &format!("{:?} {}", item.key, item.body));
            }
        }
        for item in items {
            self.look("items", &item.to_string());
        }
        for queue in Queue::ALL {
            for message in self.functions.cloud.messages(queue) {
                self.look("messages", &format!("{queue:?}: {message}"));
            }
        }
        for event in self.functions.cloud.published() {
            self.look("events", &event.json().to_string());
        }
    }

    fn look(&mut self, kind: &'static str, text: &str) {
        *self.looked.entry(kind).or_default() += 1;
        self.found.extend(secrets_in(text).into_iter().map(|around| format!("{kind}: …{around}…")));
    }

    /// Checks that every operation that the API describes was called.
    pub(crate) fn every_operation_was_called(&self) {
        let description = tracking_http_api::description::<Aws>();
        let mut forgotten = Vec::new();
        for (path, methods) in description["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys().filter(|method| *method != "parameters") {
                let operation = format!("{} {path}", method.to_uppercase());
                if !self.called.iter().any(|called| fits(called, &operation)) {
                    forgotten.push(operation);
                }
            }
        }
        assert_eq!(forgotten, Vec::<String>::new(), "these operations were not called");
    }

    /// Checks that no secret was found, and that enough of everything was searched.
    pub(crate) fn nothing_was_found(mut self) {
        let traced = self.traces.text();
        assert!(traced.contains("answered") && traced.contains("matched"), "the traces show what is done");
        self.look("traces", &traced);
        self.found.sort_unstable();
        self.found.dedup();
        assert_eq!(self.found, Vec::<String>::new());
        let few: Vec<_> = ["answers", "rows", "items", "messages", "events"]
            .into_iter()
            .filter(|kind| self.looked.get(kind).is_none_or(|looked| *looked < 20))
            .collect();
        assert_eq!(few, Vec::<&str>::new(), "too little was looked at: {}", json!(self.looked));
    }
}

/// Returns true if a request was one to this operation, whose path has parameters in braces.
fn fits(called: &str, operation: &str) -> bool {
    let (called, operation): (Vec<&str>, Vec<&str>) = (called.split('/').collect(), operation.split('/').collect());
    called.len() == operation.len()
        && called.iter().zip(&operation).all(|(given, wanted)| given == wanted || (wanted.starts_with('{') && !given.is_empty()))
}
