//! The steps of a postback over a store with queues: accept, match, hold, claim, send, conclude; the actions of people; and the port to
//! the store.
//!
//! The way of an event: [`Matcher`] reads it and matches it against the rules ([`matching`]); one message per postback goes to the
//! delivery lane, or the change goes into its hold ([`holds`]). [`Worker`] takes messages and gives each to the service that it is
//! for; a postback is claimed, sent and concluded in [`delivery`], and recorded together with others ([`recorder`]). Waiting postbacks go
//! to the retry lane or, for longer waits, to due rows ([`due`]).
//!
//! Each service owns the services that it calls, so that no two call each other; [`Engine`] makes them all. The order of effects is
//! always: first what makes the next step certain, then the record that this one is done.

pub mod backend;
mod buckets;
mod callbacks;
mod delivery;
mod due;
mod failed;
mod failing;
mod heavy;
mod holds;
pub mod idempotency;
mod keys;
mod limits;
mod log;
mod matching;
mod operator;
mod publish;
mod rate;
mod receivers;
mod recorder;
mod refused;
mod rows;
pub mod rules;
pub mod secrets;
pub mod sender;
mod spans;
mod store;
mod tally;
mod trials;
mod turns;
mod worker;

use std::{fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};

pub use callbacks::{Callback, Callbacks, Webhook};
pub use delivery::{ClaimOutcome, ClaimedAttempt, Continued, Deliveries};
pub use due::Sweeper;
pub use failed::Failed;
pub use heavy::lower_priority;
pub use idempotency::Idempotency;
pub use limits::Limits;
pub use log::{DeliveryFilter, DeliveryPage, Log, Statistics, StatisticsBucket, StatisticsQuery, internals};
pub use matching::{Accepted, Matched, Matcher};
pub use operator::{Operator, Replays};
pub use receivers::Receivers;
pub use rows::IncomingRequest;
pub use rules::{RuleWriter, Rules};
pub use sender::SendResult;
pub use spans::delivery_named_in;
pub use tally::Tally;
pub use trials::Trials;
pub use worker::{QueuedMessages, Unworked, Worker};

use backend::Backend;
use secrets::Vault;

/// The source of the time: the machine at the edges, set by hand in tests.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks this.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The settings of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `true` if receivers at addresses that are not public may be named and called.
    pub private_targets: bool,
    /// The address at which receivers reach the HTTP API, without a slash at its end; `None`: no request holds a callback URL (W17).
    pub public_url: Option<String>,
    /// The time for which ended deliveries stay in the log; at least 31 days.
    pub log_retention: SignedDuration,
    /// The time for which a read of a rule counts when matching; `None` where this process alone changes rules.
    pub rule_lifetime: Option<SignedDuration>,
    /// The memory for rules, their secrets and the index, as they were last read, in bytes.
    pub cache_bytes: usize,
    /// The longest time for which a record may wait for others to be written with; none waits once no attempt is under way.
    pub record_window: SignedDuration,
    /// The time after which a running attempt is shown as `sending` in the lists: one more write, for people only.
    pub shown_after: SignedDuration,
    /// `true` if changes are kept for as long as the log, to explain their effects later.
    pub keep_events: bool,
}

/// Reads the address at which receivers reach the HTTP API.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn parse_public_url(text: &str) -> Result<String, String> {
    let fault = || format!("expected an address such as https://tracking.example, got {text:?}");
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(fault)?;
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '<' | '>' | '{' | '}' | '\\');
    if rest.trim_matches('/').is_empty() || rest.starts_with('/') || !rest.chars().all(is_plain) {
        return Err(fault());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            private_targets: false,
            public_url: None,
            log_retention: SignedDuration::from_hours(24 * 90),
            rule_lifetime: None,
            cache_bytes: 64 * 1024 * 1024,
            record_window: SignedDuration::ZERO,
            shown_after: SignedDuration::from_secs(1),
            keep_events: false,
        }
    }
}

/// The shortest retention of ended deliveries: after 30 days a subject queue takes an attempt without a record for one whose record has
/// expired.
const SHORTEST_RETENTION: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The bytes of stored rows at which a page ends early: an answer on AWS holds at most 6 MB, and each request in work holds a page.
const MOST_PAGE_BYTES: usize = 1024 * 1024;

/// The services over one store.
#[derive(Debug)]
pub struct Engine<B> {
    store: Arc<store::Store<B>>,
    limits: Arc<Limits<B>>,
    idempotency: Idempotency<B>,
    rules: Arc<Rules<B>>,
    writer: Arc<RuleWriter<B>>,
    receivers: Arc<Receivers<B>>,
    deliveries: Arc<Deliveries<B>>,
    callbacks: Callbacks<B>,
    matcher: Arc<Matcher<B>>,
    log: Arc<Log<B>>,
    trials: Trials<B>,
    operator: Arc<Operator<B>>,
    worker: Worker<B>,
    sweeper: Sweeper<B>,
}

/// A number that no other call gives, in whatever process.
///
/// # Panics
/// The system gives no random bytes.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_be_bytes(bytes)
}

impl<B: Backend> Engine<B> {
    /// An engine over this store. `vault` seals the rules' secrets.
    pub fn new(backend: B, clock: Clock, vault: Vault, mut settings: Settings) -> Self {
        settings.log_retention = settings.log_retention.max(SHORTEST_RETENTION);
        let store = Arc::new(store::Store::new(backend, clock, settings));
        let heavy = Arc::new(heavy::HeavyWork::default());
        let limits = Arc::new(Limits::new(&store));
        let rules = Arc::new(Rules::new(&store, vault));
        let writer = Arc::new(RuleWriter::new(&rules, &limits, &heavy));
        let recorder = Arc::new(recorder::Recorder::new(&store));
        let receivers = Arc::new(Receivers::new(&store));
        let deliveries = Arc::new(Deliveries::new(&rules, &recorder, &receivers, &heavy));
        let holds = Arc::new(holds::Holds::new(&rules, &recorder));
        let matcher = Arc::new(Matcher::new(&rules, &holds));
        let log = Arc::new(Log::new(&rules, &deliveries));
        let operator = Arc::new(Operator::new(&log, &holds, &limits));
        Self {
            idempotency: Idempotency::new(&store),
            trials: Trials::new(&writer, &limits, &heavy),
            worker: Worker::new(&deliveries, &holds, &operator, &log),
            sweeper: Sweeper::new(&writer, &receivers),
            callbacks: Callbacks::new(&deliveries),
            store,
            limits,
            rules,
            writer,
            receivers,
            deliveries,
            matcher,
            log,
            operator,
        }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        self.store.backend()
    }

    /// The limits of callers.
    pub fn limits(&self) -> &Limits<B> {
        &self.limits
    }

    /// Requests that must not be done twice.
    pub fn idempotency(&self) -> &Idempotency<B> {
        &self.idempotency
    }

    /// The rules, their secrets and their history, to be read.
    pub fn rules(&self) -> &Rules<B> {
        &self.rules
    }

    /// Changes of rules.
    pub fn writer(&self) -> &RuleWriter<B> {
        &self.writer
    }

    /// Receivers: their health, and the deliveries that wait for them.
    pub fn receivers(&self) -> &Receivers<B> {
        &self.receivers
    }

    /// Attempts: claimed, sent, concluded.
    pub fn deliveries(&self) -> &Deliveries<B> {
        &self.deliveries
    }

    /// Requests from outside for steps that listen.
    pub fn callbacks(&self) -> &Callbacks<B> {
        &self.callbacks
    }

    /// Events: accepted, matched, rejected.
    pub fn matcher(&self) -> &Matcher<B> {
        &self.matcher
    }

    /// Lists, explanations and health, to be read.
    pub fn log(&self) -> &Log<B> {
        &self.log
    }

    /// Trials of rules.
    pub fn trials(&self) -> &Trials<B> {
        &self.trials
    }

    /// Actions of people on deliveries: resend, stop, replay, backfill.
    pub fn operator(&self) -> &Operator<B> {
        &self.operator
    }

    /// The work of queue messages.
    pub fn worker(&self) -> &Worker<B> {
        &self.worker
    }

    /// The sweep of due rows.
    pub fn sweeper(&self) -> &Sweeper<B> {
        &self.sweeper
    }

    /// The counts since this was last asked.
    pub fn tally(&self) -> Tally {
        self.store.tally.take()
    }
}
