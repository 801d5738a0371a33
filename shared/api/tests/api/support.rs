//! An API in memory: a store in a temporary folder, a clock that moves by a millisecond whenever it is read.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;
use tracking_core::caller::Caller;
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::{
    Accepted, Clock, Engine, Settings,
    backend::{Backend as _, Effects, Item, Key, Order, Partition, Range},
    secrets::Vault,
    sender::Sender,
};
use tracking_http_api::auth::{Auth, LocalTokens};

use crate::log;

/// The beginning of the tests' day.
const MORNING: &str = "2026-11-22T09:00:00Z";

/// The key of the tokens.
pub(crate) const KEY: [u8; 32] = [1; 32];

pub(crate) fn morning() -> Timestamp {
    MORNING.parse().expect("it is a time")
}

pub(crate) struct Api {
    router: Router,
    tokens: LocalTokens,
    pub(crate) engine: Arc<Engine<Store>>,
    /// Milliseconds since the morning.
    passed: Arc<AtomicI64>,
    /// The milliseconds that pass whenever the clock is read.
    step: Arc<AtomicI64>,
    _folder: TempDir,
}

/// An answer: its status, headers and body, which is JSON or nothing.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Status and `type` of a problem, whose content type must be a problem's.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        assert_eq!(self.body["status"], self.status, "{}", self.text);
        assert!(self.body["title"].is_string() && self.body["detail"].is_string() && self.body["errors"].is_array());
        (self.status, self.body["type"].as_str().unwrap_or_default())
    }

    /// Pointer and detail of each fault.
    pub(crate) fn faults(&self) -> Vec<(&str, &str)> {
        let faults = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &'_ Value| value.as_str().map(ToOwned::to_owned);
        assert!(faults.iter().all(|fault| text(&fault["pointer"]).is_some() && text(&fault["detail"]).is_some()));
        faults.iter().filter_map(|fault| Some((fault["pointer"].as_str()?, fault["detail"].as_str()?))).collect()
    }

    /// One field of each item of a list.
    pub(crate) fn each(&self, field: &str) -> Vec<&str> {
        let items = self.body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|item| item[field].as_str()).collect()
    }
}

/// The caller name of an admin, in place of an affiliate's id.
pub(crate) const ADMIN: &str = "admin";

/// A rule without its health, which only reading a single rule adds.
#[track_caller]
pub(crate) fn without_health(mut rule: Value) -> Value {
    let health = rule.as_object_mut().and_then(|rule| rule.remove("health"));
    assert!(health.is_some_and(|health| health["counts_24h"].is_object()), "{rule}");
    rule
}

impl Api {
    pub(crate) fn new() -> Self {
        Self::sending_by(Sender::new(true).expect("an HTTP client can be made"))
    }

    /// An API whose trials go to public addresses alone, whatever its rules name.
    pub(crate) fn guarded() -> Self {
        Self::sending_by(Sender::new(false).expect("an HTTP client can be made"))
    }

    fn sending_by(sender: Sender) -> Self {
        log::listen();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = Store::open_with(folder.path(), Durability::Relaxed).expect("a new folder can be opened");
        let passed = Arc::new(AtomicI64::new(0));
        let step = Arc::new(AtomicI64::new(1));
        let (hand, pace) = (Arc::clone(&passed), Arc::clone(&step));
        let now =
            move || morning() + SignedDuration::from_millis(hand.fetch_add(pace.load(Ordering::Relaxed), Ordering::Relaxed));
        let settings = settings();
        let engine = Arc::new(Engine::new(store, Clock::new(now), Vault::new(&[7; 32]), settings));
        let tokens = LocalTokens::new(&KEY, morning);
        let router = tracking_http_api::router_with(Arc::clone(&engine), sender, &Auth::Local(tokens.clone()), Vec::new());
        Self { router, tokens, engine, passed, step, _folder: folder }
    }

    /// Restarts the process on the same store: it remembers nothing.
    pub(crate) fn restart(&mut self) {
        let (passed, store) = (Arc::clone(&self.passed), self.engine.backend().clone());
        let now = move || morning() + SignedDuration::from_millis(passed.fetch_add(1, Ordering::Relaxed));
        let settings = settings();
        self.engine = Arc::new(Engine::new(store, Clock::new(now), Vault::new(&[7; 32]), settings));
        let sender = Sender::new(true).expect("an HTTP client can be made");
        let auth = Auth::Local(self.tokens.clone());
        self.router = tracking_http_api::router_with(Arc::clone(&self.engine), sender, &auth, Vec::new());
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, seconds: i64) {
        self.passed.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    /// From now on so many milliseconds pass whenever the clock is read.
    pub(crate) fn hurry(&self, milliseconds: i64) {
        self.step.store(milliseconds, Ordering::Relaxed);
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        morning() + SignedDuration::from_millis(self.passed.load(Ordering::Relaxed))
    }

    /// The rows of a partition whose places begin with this prefix.
    pub(crate) async fn rows(&self, partition: &str, prefix: &str) -> Vec<Item> {
        let partition = Partition::Table(partition.to_owned());
        let rows = self.engine.backend().query(&partition, &Range::prefix(prefix), Order::Ascending, 1_000).await;
        rows.expect("the store is there")
    }

    /// Writes and removes rows behind the engine's back, as a crash, a person or another version may.
    pub(crate) async fn meddle(&self, put: Vec<Item>, delete: Vec<Key>) {
        let done = self.engine.backend().commit(vec![Effects { put, delete, ..Effects::default() }]).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    pub(crate) fn token(&self, who: &str) -> String {
        let caller = if who == ADMIN { Caller::Admin } else { Caller::Affiliate(who.parse().expect("it is an id")) };
        self.tokens.mint(&caller, morning() + SignedDuration::from_hours(1))
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        let response = self.router.clone().oneshot(request).await.expect("the router has no other failures");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("bodies are in memory");
        let text = String::from_utf8(bytes.to_vec()).expect("answers are text");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Response { status: parts.status.as_u16(), headers: parts.headers, text, body }
    }

    /// A request of a caller with further headers and, unless it is null, a JSON body.
    pub(crate) async fn call_with(&self, who: &str, line: &str, headers: &[(&str, &str)], body: Value) -> Response {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {}", self.token(who)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header(CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        };
        self.send(request.body(body).expect("the test's parts are well-formed")).await
    }

    pub(crate) async fn call(&self, who: &str, line: &str, body: Value) -> Response {
        self.call_with(who, line, &[], body).await
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> Response {
        self.call(who, &format!("GET {path}"), Value::Null).await
    }

    /// Creates a rule with this name and nothing special, except the patch's members.
    pub(crate) async fn rule(&self, who: &str, name: &str, members: Value) -> String {
        let mut document = json!({"name": name, "request": {"url": "http://127.0.0.1:1/p?t={transaction_id}"}});
        if let (Some(document), Value::Object(members)) = (document.as_object_mut(), members) {
            document.extend(members);
        }
        let made = self.call(who, "POST /tracking-apis", document).await;
        assert_eq!(made.status, StatusCode::CREATED.as_u16(), "{}", made.text);
        made.body["id"].as_str().expect("a rule has an id").to_owned()
    }

    /// Takes over a sale of this affiliate with one new transaction, and makes its postbacks, to a port without a receiver.
    pub(crate) async fn sale(&self, number: u32, affiliate: &str) {
        let detail = json!({
            "change_id": format!("chg_{number}"), "occurred_at": MORNING,
            "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
                "affiliate_id": affiliate, "advertiser_id": "adv_2", "offer_id": "off_5"},
            "transactions": [{"transaction_id": format!("trx_{number}"), "result": "pending"}]});
        self.event(&detail).await;
    }

    /// Takes over a change with this detail, and makes the postbacks that follow.
    pub(crate) async fn event(&self, detail: &Value) {
        let event = json!({"detail-type": "Conversion Changed", "detail": detail});
        let accepted = self.engine.matcher().accept(&[event.to_string().as_bytes()]).await.expect("the store is there");
        assert!(matches!(accepted.as_slice(), [Accepted::Yes(_)]), "{accepted:?}");
        self.work().await;
    }

    /// Takes over bytes that may be no event.
    pub(crate) async fn accept(&self, event: &[u8]) {
        self.engine.matcher().accept(&[event]).await.expect("the store is there");
    }

    /// Makes the postbacks that are due in the morning's first second.
    pub(crate) async fn work(&self) {
        self.work_until(morning() + SignedDuration::from_secs(1)).await;
    }

    /// Makes the postbacks that are due at this time.
    pub(crate) async fn work_until(&self, now: Timestamp) {
        let sender = Sender::new(true).expect("an HTTP client can be made");
        loop {
            let picked = self.engine.backend().receive(now, &Limits::default(), 16);
            if picked.messages.is_empty() {
                return;
            }
            assert!(self.engine.worker().work(self.engine.worker().queue_up(picked.messages), &sender, None).await.is_empty());
        }
    }
}

/// The settings of a service that receivers reach.
fn settings() -> Settings {
    let public_url = Some("https://tracking.example".to_owned());
    Settings { private_targets: true, keep_events: true, public_url, ..Settings::default() }
}
