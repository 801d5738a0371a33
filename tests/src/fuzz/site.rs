//! The surroundings of the inputs: an event with room for hostile values, the scope of an attempt, and an API with some data.

use std::{
    cell::LazyCell,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;
use tracking_core::{
    answer::Response,
    caller::Caller,
    change::{Change, Envelope},
    event::Event,
    json,
    json::Value,
    template::{At, Scope, Steps},
};
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::{ClaimOutcome, Clock, Engine, Settings, rules::New, secrets::Vault, sender::Sender};
use tracking_http_api::auth::{Auth, LocalTokens};

/// The key of the tokens.
pub(super) const KEY: [u8; 32] = [1; 32];

/// The value of the one secret.
pub(super) const SECRET: &str = "s3cr3t-Value+7";

/// The time at which every input arrives.
pub(super) fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().expect("it is a time")
}

/// Returns a change with every field, as JSON.
pub(super) fn detail(number: u32, affiliate: &str) -> Value {
    json!({
        "change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T08:59:59.120Z",
        "conversion": {
            "conversion_id": "cnv_1", "version": number, "change": "updated", "type": "sale", "source": "link", "affiliate_id": affiliate,
            "advertiser_id": "adv_2", "advertiser_name": "Bank", "offer_id": "off_5", "offer_name": "Loan", "channel_id": "chn_1",
            "channel": "main", "country": "CZ", "pcid": "pc-1", "external_id": "X-77", "affiliate_click_id": "click-1",
            "affs": {"affs1": "summer"}, "value": "100.00", "currency": "EUR", "query_params": {"utm_source": "mail"},
            "cookie_params": {"fbp": "fb.1"}, "ip": "203.0.113.9", "user_agent": "Mozilla/5.0", "click_at": "2026-11-22T08:00:00Z"},
        "transactions": [{"transaction_id": format!("trx_{number}"), "result": "approved", "previous_result": "pending",
            "payout": "5.00", "revenue": "8.00", "currency": "CZK"}]})
}

/// Returns the last event of a change with every field.
pub(super) fn plain_event() -> Event {
    static EVENT: LazyLock<Event> = LazyLock::new(|| {
        let change = Change::parse_detail(&detail(1, "aff_7"), "").expect("it is a change");
        change.events().pop().expect("events follow from it")
    });
    EVENT.clone()
}

/// The scope of a delivery's second attempt.
pub(super) struct Attempt {
    event: Event,
    secrets: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
}

impl Attempt {
    pub(super) fn new(event: Event, variable: String) -> Self {
        let secrets = BTreeMap::from([("token".to_owned(), SECRET.to_owned())]);
        Self { event, secrets, variables: BTreeMap::from([("ticket".to_owned(), variable)]) }
    }

    /// Returns the scope of one rendering or one judgement, with all its steps left.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            event: &self.event,
            delivery_id: "dlv_1",
            tracking_api_id: "trk_1",
            attempt: 2,
            at: At::default(),
            is_test: false,
            masks: false,
            now: now(),
            secrets: &self.secrets,
            variables: &self.variables,
            answer: None,
            bound: None,
            steps: Steps::default(),
        }
    }
}

/// An API over a store in a temporary folder: an admin's rule with a secret, an affiliate's rule, deliveries, a history, a rejected event.
pub(super) struct Site {
    router: Router,
    runtime: Runtime,
    pub(super) admins_rule: String,
    pub(super) affiliates_rule: String,
    pub(super) delivery: String,
    pub(super) rejected: String,
    pub(super) admin: String,
    /// The token of an affiliate with a rule.
    pub(super) affiliate: String,
    /// The token of an affiliate without data.
    pub(super) stranger: String,
    /// Cursors that the API returned, each with its list.
    pub(super) cursors: Vec<(String, String)>,
    _folder: TempDir,
}

thread_local! {
    static SITE: LazyCell<Site> = const { LazyCell::new(Site::new) };
}

/// Calls `with` with this thread's API.
pub(super) fn on_site<T>(with: impl FnOnce(&Site) -> T) -> T {
    SITE.with(|site| with(site))
}

impl Site {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = Store::open_with(folder.path(), Durability::Relaxed).expect("a new folder can be opened");
        let settings = Settings { private_targets: true, keep_events: true, ..Settings::default() };
        let engine = Arc::new(Engine::new(store, Clock::new(now), Vault::new(&[7; 32]), settings));
        let tokens = LocalTokens::new(&KEY, now);
        let sender = Sender::new(true).expect("an HTTP client can be made");
        let router = tracking_http_api::router_with(Arc::clone(&engine), sender, &Auth::Local(tokens.clone()), Vec::new());
        let token = |caller| tokens.mint(&caller, now() + SignedDuration::from_hours(1));
        let affiliate = |id: &str| Caller::Affiliate(id.parse().expect("it is an id"));
        let mut site = Self {
            router,
            runtime,
            admins_rule: String::new(),
            affiliates_rule: String::new(),
            delivery: String::new(),
            rejected: String::new(),
            admin: token(Caller::Admin),
            affiliate: token(affiliate("aff_7")),
            stranger: token(affiliate("aff_8")),
            cursors: Vec::new(),
            _folder: folder,
        };
        site.admins_rule = site.rule(&engine, &Caller::Admin);
        site.affiliates_rule = site.rule(&engine, &affiliate("aff_7"));
        site.runtime.block_on(fill(&engine));
        site.look_around();
        site
    }

    /// Makes a rule with a secret and changes it once.
    fn rule(&self, engine: &Engine<Store>, caller: &Caller) -> String {
        let url = "http://127.0.0.1:9/{secret.token}?c={conversion_id}";
        let document = json!({"name": "r", "request": {"url": url}, "secret_values": {"token": SECRET}});
        self.runtime.block_on(async {
            let made = engine.writer().create_rule(caller, &document, New::IdempotencyKey(format!("{caller:?}"))).await;
            let id = made.expect("the rule is well-formed").0.id;
            engine.writer().patch_rule(caller, &id, &json!({"name": "s"}), None).await.expect("the patch is well-formed");
            id.to_string()
        })
    }

    /// Notes the ids and the cursors that the lists return.
    fn look_around(&mut self) {
        let first = |list: &str, site: &Self| {
            let (status, page) = site.get(&site.admin, &format!("{list}?limit=1"));
            assert_eq!(status, StatusCode::OK, "{list}: {page}");
            let id = page["items"][0]["id"].as_str().unwrap_or_default().to_owned();
            (id, page["next_cursor"].as_str().map(str::to_owned))
        };
        self.rejected = first("/events/rejected", self).0;
        self.delivery = first("/deliveries", self).0;
        assert!(!self.rejected.is_empty() && !self.delivery.is_empty(), "the lists are filled");
        let history = format!("/tracking-apis/{}/history", self.admins_rule);
        for list in
            ["/deliveries", "/tracking-apis", "/events/rejected", "/offers", "/conversions/cnv_1/explain", history.as_str()]
        {
            let cursor = first(list, self).1.unwrap_or_else(|| panic!("{list} has a second page"));
            self.cursors.push((list.to_owned(), cursor));
        }
    }

    /// Gets a path with a token. Returns the status and the document.
    pub(super) fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        let request = Request::builder().uri(path).header("authorization", format!("Bearer {token}"));
        match request.body(Body::empty()) {
            Ok(request) => self.send(request),
            // Such a request can't be sent to a server.
            Err(_) => (StatusCode::BAD_REQUEST, Value::Null),
        }
    }

    /// Sends a request. Returns the status and the document.
    pub(super) fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("the router has no other failures");
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, usize::MAX).await.expect("bodies are in memory");
            let document = if bytes.is_empty() { Value::Null } else { json::parse(&bytes).expect("answers are JSON") };
            (parts.status, document)
        })
    }
}

/// Fills the store with two changes of a conversion, whose postbacks are delivered, two offers and two rejected events.
async fn fill(engine: &Engine<Store>) {
    let event = |kind: &str, detail: Value| json!({"detail-type": kind, "detail": detail}).to_string();
    let events = [
        event("Conversion Changed", detail(1, "aff_7")),
        event("Conversion Changed", detail(2, "aff_7")),
        event("Offer Changed", json!({"offer_id": "off_5", "name": "Loan"})),
        event("Offer Changed", json!({"offer_id": "off_6", "name": "Card"})),
        "no json".to_owned(),
        "{}".to_owned(),
    ];
    assert!(events[..4].iter().all(|event| Envelope::parse(event.as_bytes()).is_ok()), "they are events");
    let events: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    engine.matcher().accept(&events).await.expect("the store is there");
    loop {
        let picked = engine.backend().receive(now() + SignedDuration::from_secs(1), &Limits::default(), 16).messages;
        if picked.is_empty() {
            return;
        }
        for received in picked {
            if let ClaimOutcome::Send(claimed) = engine.worker().claim(&received).await.expect("the store is there") {
                let answer = Response::new(200, Vec::new(), b"{}".to_vec());
                engine.deliveries().conclude(*claimed, Ok(answer)).await.expect("the store is there");
            }
        }
    }
}
