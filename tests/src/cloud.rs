//! An AWS in one process: DynamoDB, SQS, EventBridge and KMS behind one endpoint, as the real clients speak to it.
//!
//! It keeps AWS's limits, answers with AWS's errors, and counts calls and billed units. It fails on request, and can kill the process that
//! calls it: from the n-th call on no call is answered any more. The test does Lambda's work between queues and functions, with
//! [`Cloud::take`] and [`Cloud::ack`]. Time comes from the test: nothing here waits for it.
//!
//! It can't show the choices of fair queues, scaling, or AWS's own throttling.

mod bus;
mod counts;
mod faults;
mod kms;
mod messages;
mod pump;
mod server;
mod sqs;
mod table;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

pub use self::{
    bus::BusEvent,
    counts::{Counts, Tally},
    faults::Fault,
    messages::Depth,
    pump::{Record, failures, sqs_event},
    sqs::Queue,
};
use self::{
    counts::Bill,
    faults::{Fate, Order, Plan},
    kms::MasterKey,
    server::{Ending, Server},
    sqs::Queues,
    table::Table,
    wire::{Refused, Reply},
};
use crate::crash::Cut;

/// The region.
pub const REGION: &str = "eu-central-1";
/// The account.
pub const ACCOUNT: &str = "000000000000";
/// The table's name.
pub const TABLE: &str = "tracking-test";
/// The bus's name.
pub const BUS: &str = "tracking-bus";
/// The ARN of the one key.
pub const KEY_ARN: &str = "arn:aws:kms:eu-central-1:000000000000:key/11111111-2222-4333-8444-555555555555";

/// The AWS. Clones share it; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Cloud {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

/// The state that server and owner share.
struct Shared {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    state: Mutex<State>,
    /// `true` if the calling process was killed.
    down: watch::Sender<bool>,
}

struct State {
    table: Table,
    queues: Queues,
    published: Vec<BusEvent>,
    key: MasterKey,
    counts: Counts,
    plan: Plan,
    latency: Duration,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Cloud {
    /// Starts an AWS with an empty table, empty queues and an empty bus, with its server on a free port of this machine.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let state = State {
            table: Table::new(),
            queues: Queues::default(),
            published: Vec::new(),
            key: MasterKey::new(),
            counts: Counts::default(),
            plan: Plan::default(),
            latency: Duration::ZERO,
        };
        let shared = Arc::new(Shared { now: Box::new(now), state: Mutex::new(state), down: watch::Sender::new(false) });
        let server = Arc::new(Server::start(shared.clone()));
        Self { shared, server }
    }

    /// Returns the URL of all services.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Returns a queue's URL.
    pub fn queue_url(&self, queue: Queue) -> String {
        format!("{}/{ACCOUNT}/{}", self.endpoint(), queue.name())
    }

    /// Returns the environment of the stack's functions.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let settings = [
            ("TRACKING_STAGE", "test".to_owned()),
            ("TRACKING_TABLE", TABLE.to_owned()),
            ("TRACKING_BUS", BUS.to_owned()),
            ("TRACKING_EVENTS_QUEUE", self.queue_url(Queue::Events)),
            ("TRACKING_DELIVERY_QUEUE", self.queue_url(Queue::Delivery)),
            ("TRACKING_RETRY_QUEUE", self.queue_url(Queue::Retry)),
            ("TRACKING_REJECTED_QUEUE", self.queue_url(Queue::Rejected)),
            ("TRACKING_EVENTS_DEAD_LETTERS", self.queue_url(Queue::EventsDead)),
            ("TRACKING_DELIVERY_DEAD_LETTERS", self.queue_url(Queue::DeliveryDead)),
            ("TRACKING_RETRY_DEAD_LETTERS", self.queue_url(Queue::RetryDead)),
            ("TRACKING_DATA_KEY", KEY_ARN.to_owned()),
            ("TRACKING_LOG_RETENTION_DAYS", "90".to_owned()),
            ("TRACKING_MAX_CONCURRENCY", "20".to_owned()),
            ("TRACKING_KEEP_EVENTS", "false".to_owned()),
            ("TRACKING_PRIVATE_TARGETS", "true".to_owned()),
            ("TRACKING_PUBLIC_URL", "https://tracking.example".to_owned()),
            ("TRACKING_ROLE_CLAIM", "role".to_owned()),
            ("TRACKING_AFFILIATE_CLAIM", "affiliate_id".to_owned()),
            ("TRACKING_JWT_ISSUER", "https://issuer.example".to_owned()),
            ("TRACKING_CONSOLE_CLIENT_ID", "console".to_owned()),
            ("TRACKING_CONSOLE_SCOPES", "openid".to_owned()),
            ("TRACKING_CONSOLE_ORIGINS", String::new()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the events that were put on the bus, in order.
    pub fn published(&self) -> Vec<BusEvent> {
        self.state().published.clone()
    }

    /// Returns every item of the table, in the protocol's form.
    pub fn items(&self) -> Vec<Value> {
        self.state().table.items()
    }

    /// Returns the calls since the start or the last reset.
    pub fn calls(&self) -> Counts {
        self.state().counts.clone()
    }

    /// Resets the counts.
    pub fn reset_counts(&self) {
        self.state().counts = Counts::default();
    }

    /// Delays every call by this time before it takes effect.
    pub fn latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Kills the calling process at its n-th call from now, 1 being the next. That call takes effect or not, and neither it nor any later
    /// one is ever answered. Later calls take no effect.
    pub fn cut_at(&self, n: u64, cut: Cut) {
        self.state().plan.cut_at(n, cut);
    }

    /// Waits until the process was killed.
    pub async fn cut_happened(&self) {
        let mut down = self.shared.down.subscribe();
        down.wait_for(|down| *down).await.expect("this AWS is there");
    }

    /// Returns true if the process was killed.
    pub fn is_cut(&self) -> bool {
        self.state().plan.down
    }

    /// Accepts the calls of a new process, and cancels a planned kill. Calls of the old process stay unanswered.
    pub fn revive(&self) {
        self.state().plan.revive();
        self.shared.down.send_replace(false);
    }

    /// Makes the next call of an action, such as `DynamoDB.PutItem`, fail; a second order makes the call after it fail too.
    pub fn fail_next(&self, action: &str, fault: Fault) {
        self.state().plan.order(action, Order::Fault(fault));
    }

    /// Makes all calls of an action fail from now on; `None` ends that.
    pub fn fail_all(&self, action: &str, fault: Option<Fault>) {
        self.state().plan.fail_all(action, fault);
    }

    /// Leaves out these entries (counted from 0) of the next call of an action that takes batches. The answer says so: `UnprocessedItems`,
    /// `UnprocessedKeys`, `Failed`, `FailedEntryCount`.
    pub fn fail_entries(&self, action: &str, entries: &[usize]) {
        self.state().plan.order(action, Order::Leave(entries.to_vec()));
    }

    fn now(&self) -> Timestamp {
        (self.shared.now)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works one call, by the fate that the plan gives it.
    fn work(&self, service: &str, action: &str, body: &str) -> Ending {
        let now = (self.now)();
        let name = format!("{service}.{action}");
        let mut state = self.state();
        let mut bill = Bill::default();
        let ending = match state.plan.fate(&name) {
            Fate::Silence => return Ending::Silence,
            Fate::Worked(leave) => Ending::Answered(state.call(service, action, body, &leave, now, &mut bill)),
            Fate::Refused(refused) => Ending::Answered(Err(refused)),
            Fate::Dropped { worked } => {
                if worked {
                    state.unheard(service, action, body, now, &mut bill);
                }
                Ending::Dropped
            }
            Fate::Cut(cut) => {
                if cut == Cut::After {
                    state.unheard(service, action, body, now, &mut bill);
                }
                self.down.send_replace(true);
                Ending::Silence
            }
        };
        state.counts.add(&name, bill);
        ending
    }
}

impl State {
    fn call(&mut self, service: &str, action: &str, body: &str, leave: &[usize], now: Timestamp, bill: &mut Bill) -> Reply {
        match service {
            "DynamoDB" => self.table.call(action, body, leave, bill),
            "SQS" => self.queues.call(action, body, leave, now, bill),
            "EventBridge" => bus::call(&mut self.published, action, body, leave, now, bill),
            "KMS" => self.key.call(action, body, bill),
            _ => Err(Refused::unknown(action)),
        }
    }

    /// Works a call whose answer is lost.
    fn unheard(&mut self, service: &str, action: &str, body: &str, now: Timestamp, bill: &mut Bill) {
        let _unheard: Reply = self.call(service, action, body, &[], now, bill);
    }
}
