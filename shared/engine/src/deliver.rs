//! One postback: claim → send → conclude → record.
//!
//! *Claim* asks the line whether this delivery may send its next attempt, and counts the attempt in the same compare-and-set, before
//! anything is sent: a crash spends it (L1). It is given back only where a fault of this machine kept the request from leaving.
//! *Send* is the caller's, so that a simulation can play it without a socket. *Conclude*
//! reads the answer, decides what is next, and records it together with the message's end. A message is a nudge: it may come twice,
//! late or out of order, and everything it does is decided by the line and the log.

mod claim;
mod conclude;
mod decoded;
mod give_back;
mod outbox;
mod recording;
pub(crate) mod render;
mod standby;

pub(crate) use {claim::PATIENCE, standby::LONGEST_WAIT};

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use tracking_core::{answer::Answer, caller::Owner, delivery::State, request::Rendered, template::RenderFault};

use crate::{
    Engine,
    backend::{Backend, Effects, Lane, Message, Received, Settle, Swap, Unavailable},
    due, keys, matching,
    record::{Listing, UnderWay},
    rows::{self, DeliveryRow, Job, Task},
    rules::Rule,
    sender::SendFault,
};
use render::Rendering;

/// The reason of what ends because its rule sends no more (P6).
pub(crate) const SWITCHED_OFF: &str = "the Tracking API was switched off or deleted";

/// The reason of what a person stopped.
pub(crate) const STOPPED: &str = "stopped by a person";

/// An attempt that is claimed: send it, then conclude it.
#[derive(Debug)]
pub struct Claimed {
    received: Received,
    rule: Rule,
    job: Job,
    /// The delivery as the log has it, if it has it.
    row: Option<DeliveryRow>,
    /// The revision of its row.
    row_rev: Option<u64>,
    secrets: Arc<BTreeMap<String, String>>,
    attempt: u32,
    /// Attempts before its present budget (L1).
    base: u32,
    lease_until: Timestamp,
    /// The time by which all work on it must be over, if there is one.
    until: Option<Timestamp>,
    at: Timestamp,
    /// Whether the log lists the delivery.
    listed: AtomicBool,
    /// `true` once its row shows that it is being sent.
    shown: AtomicBool,
    under_way: UnderWay,
}

/// What a claim came to.
#[derive(Debug)]
pub enum Claiming {
    /// Send this.
    Send(Box<Claimed>),
    /// Nothing to send now; the message is dealt with.
    Settled,
}

impl Claimed {
    /// The delivery's id (P2).
    pub fn delivery_id(&self) -> &str {
        self.job.id.as_str()
    }

    /// The rule's owner.
    pub fn owner(&self) -> &Owner {
        &self.job.owner
    }

    /// The owner whose turn rendering it and judging its response wait for, if they may take milliseconds.
    pub(crate) fn heavy_owner(&self) -> Option<Owner> {
        self.rule.definition.is_heavy.then(|| self.owner().clone())
    }

    /// `true` if its timeout would end after its lease.
    pub(crate) fn is_late(&self, now: Timestamp) -> bool {
        now + self.rule.definition.request.timeout().duration() > self.lease_until
    }

    /// Which attempt this is; 1 is the first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The request as it is to be sent, with the secrets in it (Q5).
    ///
    /// # Errors
    /// A value that may not stand in its place, such as a line break in a header (Q3): it can't be sent, now or later.
    pub fn request(&self) -> Result<Rendered, RenderFault> {
        self.rendering().request()
    }

    /// What it is rendered from.
    fn rendering(&self) -> Rendering<'_> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Rendering {
            rule: &self.rule.id,
            definition: &self.rule.definition,
            event: &self.job.event.0,
            delivery_id: self.job.id.as_str(),
            attempt: self.attempt,
            is_test: false,
            at: self.at,
            secrets: &self.secrets,
            variables: self.row.as_ref().map_or(&NONE, |row| &row.variables),
        }
    }

    /// The delivery's row as it was claimed, or a new one in this state.
    fn row_or_new(&self, state: State) -> DeliveryRow {
        self.row.clone().unwrap_or_else(|| DeliveryRow::new(self.job.clone(), state, self.max_attempts()))
    }

    /// The attempts by the end of its present budget (L1).
    fn max_attempts(&self) -> u32 {
        self.base + self.rule.definition.retry.max_attempts()
    }

    /// What is to be listed now, unless the log lists it.
    fn listing(&self, row: &DeliveryRow) -> Option<Listing> {
        (!self.listed.load(Ordering::Relaxed)).then(|| Listing::of(row))
    }
}

/// What came of sending: an answer, or why there is none.
pub type Sent = Result<Answer, SendFault>;

impl<B: Backend> Engine<B> {
    /// Ends a delivery that has no attempt under way, and the message with it. A row that is over already stays as it is. Returns false if
    /// somebody else has written the row since it was read.
    async fn end(&self, received: &Received, ending: Ending<'_>, state: State, reason: &str) -> Result<bool, Unavailable> {
        let now = self.now();
        let (mut row, rev) = match ending.row {
            Some((row, rev)) => (row, Some(rev)),
            None => (DeliveryRow::new(ending.job.clone(), State::Waiting, ending.max_attempts), None),
        };
        if row.state.is_ended() {
            return self.commit_one(received.done()).await.map(|()| true);
        }
        self.publish_left(&row).await?;
        if rev.is_none() && !ending.job.held {
            self.record(Effects::default(), Some(Listing::of(&row))).await?;
        }
        row.attempts = row.attempts.max(ending.attempts);
        row.end(state, reason, now);
        row.note_told(received, None, now);
        let swap = Swap { key: keys::delivery(&row.job.id), expect: rev, new: Some(self.delivery_item(&row)) };
        if !self.swap_one(swap).await.is_done()? {
            return Ok(false);
        }
        // Should this be cut off, the message comes again, and publishes what is in the row.
        self.commit_one(Effects { publish: row.unpublished(), ..received.done() }).await?;
        tracing::info!(tracking_api_id = %row.job.rule, delivery_id = %row.job.id, outcome = state.as_str(), "ended");
        self.tally.ended(state);
        Ok(true)
    }

    /// Makes a message come again at a time: on the retry lane by its visibility, from the delivery lane by moving there, and for
    /// long by a due row. The message names the delivery alone where its row holds the very same job; a row of what was held holds an
    /// older one.
    fn come_again(&self, received: &Received, job: &Job, host: &str, at: Timestamp, row: Option<&DeliveryRow>) -> Effects {
        let now = self.now();
        if received.receipt.lane == Lane::Retry && at <= now + self.backend.longest_wait() {
            return Effects { settle: vec![Settle::Again(received.receipt.clone(), at)], ..Effects::default() };
        }
        let mut effects = received.done();
        let recorded = row.is_some_and(|row| row.job == *job);
        let task = if recorded { Task::Wake { delivery: job.id.clone() } } else { Task::Deliver(Box::new(job.clone())) };
        wake(&mut effects, &task, job, host, at, now);
        effects
    }
}

/// A message of the retry lane for this time.
pub(crate) fn message(task: &Task, group: String, at: Timestamp) -> Message {
    Message { lane: Lane::Retry, group, not_before: Some(at), body: rows::write(task) }
}

/// Adds a message about a job for this time, however far away that is.
fn wake(effects: &mut Effects, task: &Task, job: &Job, host: &str, at: Timestamp, now: Timestamp) {
    due::file(effects, message(task, matching::group(job, host), at), &format!("D#{}", job.id), now);
}

/// A delivery that ends without a further attempt.
struct Ending<'a> {
    job: &'a Job,
    /// The delivery as the log has it, if it has it, and the revision of its row.
    row: Option<(DeliveryRow, u64)>,
    attempts: u32,
    max_attempts: u32,
}
