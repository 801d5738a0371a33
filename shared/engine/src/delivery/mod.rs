//! The life of a delivery: one postback owed to one receiver for one event.
//!
//! # The parts
//!
//! - A *message* of the queue is a nudge. It may come twice, late or out of order; it carries the owed delivery or its id alone, and
//!   decides nothing. [`Worker`](crate::Worker) takes it and asks here.
//! - The *row* of a delivery holds everything known of it: its state, its attempts, its unpublished events. A first try that succeeds has
//!   no row before it is concluded.
//! - The *subject queue* ([`SubjectQueue`](tracking_core::subject_queue::SubjectQueue)) of a rule and a conversion or transaction says
//!   which delivery may send next. The claim of an attempt is one compare-and-set on it, and counts the attempt before anything is sent: a
//!   crash spends it (L1).
//! - The *lease* of a claim is its timeout and the time for concluding. Within it nobody else sends for this delivery; it does not keep a
//!   late request from arriving at its receiver. After it the attempt counts as cut off, ten minutes later if its record may be on its way
//!   through the queue ([`recording`]).
//!
//! # The way
//!
//! 1. [`claim`]: the subject queue and the row are read, the rule is read again, a pure decision is taken, and written. If another process
//!    was faster, the write is a conflict: the decision is taken again.
//! 2. [`send`]: the request is rendered and sent. A claim that a fault of this machine kept from leaving is given back ([`give_back`]).
//! 3. [`conclude`]: the response is decoded and masked, the answer rules give a verdict, the retry policy says what follows.
//! 4. [`recording`]: row, attempt and pages of the log are written first, with others' ([`Recorder`]); then the row's [`outbox`]
//!    is published on the bus; then the message is acked. A record that the table does not take waits in the queue.
//!
//! Between match and send a postback is in exactly one place that survives a crash: a message of the delivery lane, a message of the retry
//! lane, or a due row ([`due`](crate::due)) that a sweep turns into a message. [`Deliveries::defer`] chooses.
//!
//! # States
//!
//! ```text
//!            accepted                    claim, send, conclude
//!   (match) ─────────▶ waiting ─────────────────────────────────▶ delivered | failed | skipped
//!      │                │  ▲  │                                          ▲
//!      │ delay: final   │  │  └─ retries used up ─▶ exhausted | unresolved │ resend: a new budget,
//!      ▼                │  └──── retry, pending                            │ from any end
//!     held ─ settled ───┘                                                  │
//!      │                └─ overtaken, stopped, switched off ─▶ superseded | cancelled
//!      └─ held too long ─▶ expired
//! ```
//!
//! `sending` is shown while an attempt runs for longer than a second; it decides nothing.

mod another;
pub(crate) mod callback_urls;
mod claim;
mod conclude;
mod decoded;
pub(crate) mod flow;
mod give_back;
mod hidden;
pub(crate) mod listen;
mod outbox;
mod owed;
mod pace;
mod recording;
pub(crate) mod render;
pub(crate) mod sealed;
mod send;
pub(crate) mod shown_headers;
mod standby;
mod waiting;
mod walk;

use claim::delete_or_defer;
use owed::wake;
pub(crate) use owed::{group, group_of, hand_over, message, owed_delivery, owed_now};
pub(crate) use {claim::PATIENCE, standby::LONGEST_WAIT};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use tracking_core::{
    caller::Owner,
    delivery::State,
    flow::{Call, Emitted},
    hash,
    request::Rendered,
    template::RenderFault,
    tracking_api::RuleDefinition,
};

use crate::{
    backend::{Ack, Backend, Effects, Lane, Received, StoreError, Swap},
    heavy::HeavyWork,
    keys,
    rate::RateLimiter,
    receivers::Receivers,
    recorder::{Listing, Recorder, UnderWay},
    rows::{DeliveryRow, OwedDelivery, Task},
    rules::{Rule, Rules},
    sender::SendResult,
    store::Store,
};
use flow::{InFlow, call_of};
use outbox::publish_emitted;
use pace::WaitPace;
use render::Rendering;
use sealed::Seal;

/// The reason of a delivery that ends because its rule sends no more (P6).
pub(crate) const SWITCHED_OFF: &str = "the Tracking API was switched off or deleted";

/// The reason of a delivery that a person stopped.
pub(crate) const STOPPED: &str = "stopped by a person";

/// An attempt that is claimed: send it, then conclude it.
#[derive(Debug)]
pub struct ClaimedAttempt {
    received: Received,
    rule: Rule,
    owed: OwedDelivery,
    /// The delivery as the log has it, if it has it.
    row: Option<DeliveryRow>,
    /// The revision of its row.
    row_rev: Option<u64>,
    /// Its place in the flow of its rule, if that is one.
    flow: Option<Box<InFlow>>,
    /// The variables of the delivery, if its rule is no flow.
    own: BTreeMap<String, String>,
    secrets: Arc<BTreeMap<String, String>>,
    seal: Seal,
    attempt: u32,
    /// Attempts before its present budget (L1).
    base: u32,
    lease_until: Timestamp,
    /// The time by which all work on it must be over, if there is one.
    until: Option<Timestamp>,
    /// The time of the first of the requests that follow on one another at once.
    began: Timestamp,
    at: Timestamp,
    /// `true` once the log lists the delivery.
    listed: AtomicBool,
    /// `true` once its row shows that it is being sent.
    shown: AtomicBool,
    under_way: UnderWay,
}

/// The result of a claim.
#[derive(Debug)]
pub enum ClaimOutcome {
    /// Send this.
    Send(Box<ClaimedAttempt>),
    /// Nothing to send now; the message is acked.
    NothingToSend,
}

/// A delivery whose message is still open, since more follows at once on the attempt that was recorded (W15).
#[derive(Debug)]
pub struct Continued {
    pub(crate) received: Received,
    pub(crate) owed: OwedDelivery,
    pub(crate) until: Option<Timestamp>,
    pub(crate) began: Timestamp,
}

impl Continued {
    /// The continuation after an attempt.
    fn of(claimed: &ClaimedAttempt) -> Self {
        let ClaimedAttempt { received, owed, until, began, attempt, .. } = claimed;
        // A repeat of the call that has claimed the first attempt has a receive id of its own from here on.
        let receive_id = hash::text(&["step", &received.receive_id, &attempt.to_string()], 24);
        let received = Received { redelivered: true, receive_id, ..received.clone() };
        Self { received, owed: owed.clone(), until: *until, began: *began }
    }
}

impl ClaimedAttempt {
    /// The delivery's id (P2).
    pub fn delivery_id(&self) -> &str {
        self.owed.id.as_str()
    }

    /// The rule's owner.
    pub fn owner(&self) -> &Owner {
        &self.owed.owner
    }

    /// The owner in whose turn it is rendered and its response judged, if either may take milliseconds.
    pub(crate) fn heavy_owner(&self) -> Option<Owner> {
        self.rule.definition.is_heavy.then(|| self.owner().clone())
    }

    /// `true` if its timeout would end after its lease.
    pub(crate) fn is_late(&self, now: Timestamp) -> bool {
        now + self.call().request.timeout().duration() > self.lease_until
    }

    /// Returns the number of this attempt; 1 is the first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The request as it is to be sent, with the secrets in it (Q5).
    ///
    /// # Errors
    /// A value that is not allowed in its place, such as a line break in a header (Q3): it can't be sent, now or later.
    pub fn request(&self) -> Result<Rendered, RenderFault> {
        self.rendering().request()
    }

    /// The values that the request is rendered from.
    fn rendering(&self) -> Rendering<'_> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        let of_row = || self.row.as_ref().map_or(&NONE, |row| &row.secret_variables);
        Rendering {
            rule: &self.rule.id,
            definition: &self.rule.definition,
            event: self.owed.event.whole(),
            delivery_id: self.owed.id.as_str(),
            attempt: self.attempt,
            flow: self.flow.as_deref(),
            is_test: false,
            at: self.at,
            secrets: &self.secrets,
            variables: self.flow.as_ref().map_or(&self.own, |flow| &flow.variables),
            secret_variables: self.flow.as_ref().map_or_else(of_row, |flow| &flow.hidden),
        }
    }

    /// The delivery's row as it was claimed, or a new one in this state.
    fn row_or_new(&self, state: State) -> DeliveryRow {
        let mut row = self.row.clone().unwrap_or_else(|| DeliveryRow::new(self.owed.clone(), state, self.max_attempts()));
        if let Some(flow) = &self.flow {
            flow.note(&self.rule.definition, &self.seal, &mut row);
        }
        row
    }

    /// The request with its answer rules.
    pub(crate) fn call(&self) -> &Call {
        call_of(&self.rule.definition, self.flow.as_deref())
    }

    /// The receiver of the request that is next.
    fn next_host(&self, row: &DeliveryRow) -> String {
        let plan = &self.rule.definition.plan;
        let next = row.flow.as_ref().and_then(|flow| plan.call(&flow.step));
        next.unwrap_or_else(|| self.call()).request.host().to_owned()
    }

    /// The attempts by the end of its present budget (L1).
    fn max_attempts(&self) -> u32 {
        match &self.flow {
            Some(flow) => flow.progress.max_attempts(self.call(), self.base),
            None => self.base + self.call().retry.max_attempts(),
        }
    }

    /// The listing to write now, unless the log lists the delivery.
    fn listing(&self, row: &DeliveryRow) -> Option<Listing> {
        (!self.listed.load(Ordering::Relaxed)).then(|| Listing::of(row))
    }
}

/// The life of a delivery: claim, send, conclude.
#[derive(Debug)]
pub struct Deliveries<B> {
    pub(crate) store: Arc<Store<B>>,
    pub(crate) rules: Arc<Rules<B>>,
    pub(crate) recorder: Arc<Recorder<B>>,
    pub(crate) receivers: Arc<Receivers<B>>,
    rate: RateLimiter<B>,
    pub(crate) heavy: Arc<HeavyWork>,
    pace: WaitPace,
}

impl<B: Backend> Deliveries<B> {
    /// The service over these.
    pub(crate) fn new(
        rules: &Arc<Rules<B>>,
        recorder: &Arc<Recorder<B>>,
        receivers: &Arc<Receivers<B>>,
        heavy: &Arc<HeavyWork>,
    ) -> Self {
        let store = Arc::clone(&rules.store);
        let rate = RateLimiter::new(&store);
        let (rules, recorder, heavy) = (Arc::clone(rules), Arc::clone(recorder), Arc::clone(heavy));
        Self { store, rules, recorder, receivers: Arc::clone(receivers), rate, heavy, pace: WaitPace::default() }
    }

    /// Ends a delivery that has no attempt under way, and the message with it. A row that is over already stays as it is. Returns false if
    /// somebody else has written the row since it was read.
    async fn end(&self, received: &Received, ending: Ending<'_>, state: State, reason: &str) -> Result<bool, StoreError> {
        let now = self.store.now();
        let (mut row, rev) = match ending.row {
            Some((row, rev)) => (row, Some(rev)),
            None => (DeliveryRow::new(ending.owed.clone(), State::Waiting, ending.max_attempts), None),
        };
        if row.state.is_ended() {
            return self.store.commit_one(received.done()).await.map(|()| true);
        }
        self.publish_left(&row).await?;
        if rev.is_none() && !ending.owed.held {
            self.recorder.list(&row).await?;
        }
        row.attempts = row.attempts.max(ending.attempts);
        row.emitted = ending.emitted;
        row.end(state, reason, now);
        row.fill_outbox(received, None, now);
        let swap = Swap { key: keys::delivery(&row.owed.id), expect: rev, new: Some(self.store.delivery_item(&row)) };
        if !self.store.swap_one(swap).await.is_done()? {
            return Ok(false);
        }
        publish_emitted(&self.store, &row).await?;
        row.emitted.clear();
        // If this is cut off, the message comes again, and publishes the events in the row.
        let ack = delete_or_defer(self, received, (&row.owed, ending.definition));
        self.store.commit_one(Effects { publish: row.unpublished(), ..ack }).await?;
        tracing::info!(tracking_api_id = %row.owed.rule, delivery_id = %row.owed.id, outcome = state.as_str(), "ended");
        self.store.tally.ended(state);
        Ok(true)
    }

    /// Defers a message to a time: on the retry lane by its visibility, from the delivery lane by moving it there, and for long
    /// by a due row. The message names the delivery alone where its row holds the very same owed delivery; that of a held one holds an
    /// older one.
    fn defer(&self, received: &Received, owed: &OwedDelivery, host: &str, at: Timestamp, row: Option<&DeliveryRow>) -> Effects {
        let now = self.store.now();
        if received.receipt.lane == Lane::Retry && at <= now + self.store.backend().longest_wait() {
            return Effects { acks: vec![Ack::Defer(received.receipt.clone(), at)], ..Effects::default() };
        }
        let mut effects = received.done();
        let recorded = row.is_some_and(|row| row.owed == *owed);
        let task = if recorded { Task::Wake { delivery: owed.id.clone() } } else { Task::Deliver(Box::new(owed.clone())) };
        wake(&mut effects, &task, owed, host, at, now);
        effects
    }
}

/// A delivery that ends without a further attempt.
struct Ending<'a> {
    owed: &'a OwedDelivery,
    /// The delivery as the log has it, if it has it, and the revision of its row.
    row: Option<(DeliveryRow, u64)>,
    attempts: u32,
    max_attempts: u32,
    /// The rule as it is now, if it sends.
    definition: Option<&'a RuleDefinition>,
    /// The events that its last steps emitted.
    emitted: Vec<Emitted>,
}
