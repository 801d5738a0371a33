//! One machine in a test's hand: store, engine, clock, and the requests that receivers got.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tracking_core::{answer::Response, caller::Caller, delivery::DeliveryId, id::Id, json, json::Value};
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::{
    Accepted, ClaimOutcome, Clock, DeliveryFilter, Engine, IncomingRequest, SendResult, Settings,
    backend::{Received, StoreError},
    rules::{New, Refused},
    secrets::Vault,
    sender::{OurFault, SendFault},
};

use crate::crash::Crashing;

/// A clock that stops until it is moved.
#[derive(Debug, Clone)]
pub struct HandClock(Arc<Mutex<Timestamp>>);

impl Default for HandClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new("2026-11-22T09:00:00Z".parse().expect("a time"))))
    }
}

impl HandClock {
    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock on.
    pub fn pass(&self, time: SignedDuration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    /// Moves the clock on to a time, never back.
    pub fn until(&self, time: Timestamp) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = time.max(*now);
    }
}

/// One request as a receiver got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The time of the request.
    pub at: Timestamp,
    /// The delivery's id, from the request's header.
    pub delivery_id: String,
    /// The attempt that sent it.
    pub attempt: u32,
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}

/// The answer of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A status and the body `{"status": …}`.
    Says(u16, &'static str),
    /// A status and this body.
    Body(u16, &'static str),
    /// A status, headers and a body.
    Whole(u16, &'static [(String, String)], &'static str),
    /// There is no response.
    Silence,
    /// The request doesn't arrive: the sending machine fails.
    Stuck,
}

impl Reply {
    /// Returns the result of the sending.
    pub fn sent(self) -> SendResult {
        match self {
            Self::Says(status, word) => Ok(Response::new(status, Vec::new(), json!({"status": word}).to_string().into_bytes())),
            Self::Body(status, body) => Ok(Response::new(status, Vec::new(), body.as_bytes().to_vec())),
            Self::Whole(status, headers, body) => Ok(Response::new(status, headers.to_vec(), body.as_bytes().to_vec())),
            Self::Silence => Err(SendFault::Connection("the test's receiver is silent".to_owned())),
            Self::Stuck => Err(SendFault::Ours(OurFault("the test's machine is stuck".to_owned()))),
        }
    }
}

/// The function that decides a receiver's answer by the attempt's delivery id, its number and its URL.
pub type Replies<'a> = &'a mut dyn FnMut(&Arrival) -> Reply;

/// Store, engine and clock of one machine.
pub struct World {
    folder: TempDir,
    keep_events: bool,
    /// The time.
    pub clock: HandClock,
    running: Option<(Store, Arc<Engine<Crashing<Store>>>)>,
    /// The requests that receivers got, in order.
    pub arrivals: Vec<Arrival>,
}

impl World {
    /// Makes a machine with its data in a folder that is removed with it. The data survives the death of the process, not a loss of power.
    ///
    /// # Panics
    /// There is no place for temporary files.
    pub fn temporary() -> Self {
        Self::start(false)
    }

    /// Makes a machine that keeps events to be explained later.
    ///
    /// # Panics
    /// There is no place for temporary files.
    pub fn keeping_events() -> Self {
        Self::start(true)
    }

    fn start(keep_events: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut world = Self { folder, keep_events, clock: HandClock::default(), running: None, arrivals: Vec::new() };
        world.restart();
        world
    }

    /// Kills and restarts the machine: unwritten data is gone.
    ///
    /// # Panics
    /// The store does not open.
    pub fn restart(&mut self) {
        self.running = None;
        let store = Store::open_with(self.folder.path(), Durability::Relaxed).expect("the store opens");
        let clock = self.clock.clone();
        let public_url = Some("https://tracking.example".to_owned());
        let settings = Settings { private_targets: true, public_url, keep_events: self.keep_events, ..Settings::default() };
        let engine = Engine::new(Crashing::new(store.clone()), Clock::new(move || clock.now()), Vault::new(&[7; 32]), settings);
        self.running = Some((store, Arc::new(engine)));
    }

    /// Returns the engine of this run.
    pub fn engine(&self) -> Arc<Engine<Crashing<Store>>> {
        self.running.as_ref().expect("it runs").1.clone()
    }

    /// Returns the store of this run.
    pub fn store(&self) -> &Store {
        &self.running.as_ref().expect("it runs").0
    }

    /// Returns the store that can make the machine die.
    pub fn fate(&self) -> Crashing<Store> {
        self.engine().backend().clone()
    }

    /// Makes a rule. Returns its id.
    ///
    /// # Panics
    /// The rule is refused.
    pub async fn rule(&self, caller: &Caller, document: Value) -> Id {
        let key = New::IdempotencyKey(document.to_string());
        let made = self.engine().writer().create_rule(caller, &document, key).await;
        made.unwrap_or_else(|refused| panic!("{document} is refused: {refused}")).0.id
    }

    /// Puts events on the bus.
    ///
    /// # Errors
    /// The engine's error.
    pub async fn post(&self, events: &[Value]) -> Result<Vec<Accepted>, StoreError> {
        let bytes: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        self.engine().matcher().accept(&slices).await
    }

    /// Sends a callback to the URL of this token.
    ///
    /// # Errors
    /// The callback is refused.
    pub async fn call_back(&self, token: &str, request: IncomingRequest) -> Result<(), Refused> {
        let engine = self.engine();
        let callback = engine.callbacks().find(token).await?.ok_or(Refused::NotFound)?;
        engine.callbacks().take(&callback, request).await
    }

    /// Sends a webhook to this id. Returns the number of deliveries that read it.
    ///
    /// # Errors
    /// The webhook is refused.
    pub async fn send_webhook(&self, id: &str, request: IncomingRequest) -> Result<usize, Refused> {
        let engine = self.engine();
        let webhook = engine.callbacks().find_webhook(id).await?.ok_or(Refused::NotFound)?;
        engine.callbacks().take_webhook(&webhook, request).await
    }

    /// Receives up to `max` messages that are due.
    pub fn pick(&self, max: usize) -> Vec<Received> {
        self.store().receive(self.clock.now(), &Limits::default(), max).messages
    }

    /// Returns the time at which the next message is due that is not handed out; now, if one is due already.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.store().receive(self.clock.now(), &Limits::default(), 0).next_due
    }

    /// Works one message: claims it, takes the receiver's answer, concludes, and does the steps that follow at once.
    ///
    /// # Errors
    /// The machine died meanwhile.
    pub async fn work(&mut self, received: &Received, replies: Replies<'_>) -> Result<(), StoreError> {
        let engine = self.engine();
        let mut claiming = Box::pin(engine.worker().claim(received)).await?;
        while let ClaimOutcome::Send(claimed) = claiming {
            let sent = match claimed.request() {
                Ok(request) => {
                    let (delivery_id, attempt) = (claimed.delivery_id().to_owned(), claimed.attempt());
                    let arrival = Arrival {
                        at: self.clock.now(),
                        delivery_id,
                        attempt,
                        method: request.method.to_string(),
                        url: request.url,
                        headers: request.headers,
                        body: request.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
                    };
                    let reply = replies(&arrival);
                    if reply != Reply::Stuck {
                        self.arrivals.push(arrival);
                    }
                    reply.sent()
                }
                Err(fault) => Err(fault.into()),
            };
            let Some(next) = Box::pin(engine.deliveries().conclude(*claimed, sent)).await? else { break };
            claiming = Box::pin(engine.worker().go_on(next)).await?;
        }
        Ok(())
    }

    /// Works all messages that are due now, in order, including those that fall due meanwhile.
    ///
    /// # Panics
    /// The store is unavailable, or the work never ends.
    pub async fn work_all(&mut self, replies: Replies<'_>) {
        for _ in 0..100_000 {
            let Some(received) = self.pick(1).pop() else { return };
            self.work(&received, replies).await.expect("the store is there");
        }
        panic!("the work never ends");
    }

    /// Works all messages that are due until `time` has passed: retries, holds, due rows.
    ///
    /// # Panics
    /// The store is unavailable.
    pub async fn pass(&mut self, time: SignedDuration, replies: Replies<'_>) {
        let end = self.clock.now() + time;
        loop {
            self.engine().sweeper().sweep().await.expect("the store is there");
            self.work_all(replies).await;
            let due = self.next_due();
            // The sweep looks two minutes ahead; over long times a due row may come a little late.
            let step = self.clock.now() + SignedDuration::from_secs(60).max(time / 200);
            let next = due.map_or(step, |due| due.min(step));
            if next > end {
                self.clock.until(end);
                self.work_all(replies).await;
                return;
            }
            self.clock.until(next.max(self.clock.now() + SignedDuration::from_millis(1)));
        }
    }

    /// Returns the log as an admin sees it, newest first.
    ///
    /// # Panics
    /// The store is unavailable.
    pub async fn log(&self, filter: &DeliveryFilter) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page =
                self.engine().log().list(&Caller::Admin, filter, 1_000, cursor.as_deref()).await.expect("the log is there");
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return items;
            }
        }
    }

    /// Returns the only delivery of the log as an admin sees it, with its attempts.
    ///
    /// # Panics
    /// The log has no delivery or several ones, or the store is unavailable.
    pub async fn only_delivery(&self) -> Value {
        let log = self.log(&DeliveryFilter::default()).await;
        let [listed] = &log[..] else { panic!("one delivery: {log:?}") };
        let id = DeliveryId::parse(listed["id"].as_str().expect("an id is a text")).expect("the log gives ids");
        self.engine().log().delivery(&Caller::Admin, &id).await.expect("the log has what it lists")
    }
}

/// Returns an event of the bus: a conversion's change with its transactions. `conversion` and `transactions` replace the fields of a plain
/// sale.
#[expect(clippy::needless_pass_by_value, reason = "tests write them in place")]
pub fn event(change_id: &str, conversion: Value, transactions: Value) -> Value {
    let mut whole = json!({
        "conversion_id": "cnv_1", "version": 1, "change": "created", "type": "sale", "source": "link", "affiliate_id": "aff_7",
        "advertiser_id": "adv_2", "offer_id": "off_5", "channel_id": "chn_1", "value": "100.00", "currency": "EUR",
    });
    if let (Value::Object(whole), Value::Object(given)) = (&mut whole, conversion) {
        whole.extend(given);
    }
    json!({
        "version": "0", "id": change_id, "source": "platform.conversions", "detail-type": "Conversion Changed",
        "time": "2026-11-22T09:00:00Z", "account": "000000000000", "region": "eu-central-1", "resources": [],
        "detail": {"change_id": change_id, "occurred_at": "2026-11-22T08:59:59Z", "conversion": whole, "transactions": transactions},
    })
}

/// Returns a transaction of an event.
pub fn transaction(id: &str, change: &str, result: &str) -> Value {
    json!({"transaction_id": id, "change": change, "result": result, "payout": "5.00", "currency": "EUR"})
}
