//! Recording an attempt even if the table fails: its response came, and a repeat of the request would be a second postback.
//!
//! A table that refuses writes is asked again for up to ten seconds, while the lease lasts. Then the record goes to the retry lane
//! ([`Task::Record`]) and the message is done: the worker of the record writes the row by compare-and-set, unless the log knows more of
//! the delivery already. Until ten minutes after its lease an attempt without a record therefore does not count as cut off
//! ([`Present::recording`](tracking_core::subject_queue::Present::recording)). Only a table and a queue that are down together can repeat a
//! request.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, timeout_at};
use tracking_core::delivery::State;

use super::{ClaimedAttempt, Continued, claim::delete_or_defer, message, wake};
use crate::{
    backend::{Backend, Effects, Received, StoreError, Swap},
    delivery::Deliveries,
    keys, random,
    recorder::Listing,
    rows::{self, Attempt, DeliveryRow, Recording, Task},
};

/// The longest time for which a table is asked to take a record.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// The part of a lease that is left for sending the record to the queue instead.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);
/// The least time for a table to take a record.
const LEAST: SignedDuration = SignedDuration::from_secs(1);
/// The longest first pause between two tries; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The time for which a record rests in the queue at first: a write whose call was given up may land as late.
const REST: SignedDuration = SignedDuration::from_secs(30);
/// The time after the first of several requests within which the next is sent while the same message is worked (W15).
const AT_ONCE: SignedDuration = SignedDuration::from_secs(10);
/// The tries to write a row while others write it.
const TRIES: usize = 10;

impl<B: Backend> Deliveries<B> {
    /// Records an attempt. `earlier` is the attempt if the row does not hold it. `holds`: no other hand-out can have claimed a later one.
    /// Returns the step that follows at once, if there is one: its message is still open.
    ///
    /// # Errors
    /// Neither the store nor the queue takes the record.
    pub(super) async fn record_attempt(
        &self,
        claimed: ClaimedAttempt,
        row: DeliveryRow,
        earlier: Option<Attempt>,
        holds: bool,
    ) -> Result<Option<Continued>, StoreError> {
        let listing = claimed.listing(&row);
        let host = claimed.next_host(&row);
        let recording = Recording { row, earlier, unlisted: listing.is_some(), host };
        let left = self.left_for_recording(&claimed);
        let next = continued(&claimed, &recording.row, self.store.now());
        let effects = self.as_recorded(&claimed, &recording, next.is_some());
        let ClaimedAttempt { received, under_way, .. } = claimed;
        drop(under_way);
        if self.store.backend().is_transactional() {
            return self.recorder.record(effects, listing).await.map(|()| next);
        }
        if holds && self.record_within(&effects, listing, left).await {
            return Ok(next);
        }
        let (rule, delivery) = (&recording.row.owed.rule, &recording.row.owed.id);
        tracing::warn!(tracking_api_id = %rule, delivery_id = %delivery, attempt = recording.row.attempts, "the table does not take a record: it waits in the queue");
        let group = super::group(&recording.row.owed, &recording.host);
        let send = vec![message(&Task::Record(Box::new(recording)), group, self.store.now() + REST)];
        self.store.commit_one(Effects { send, ..received.done() }).await?;
        Ok(None)
    }

    /// The effects of recording an attempt, the end of its message included unless the delivery is `continued`.
    fn as_recorded(&self, claimed: &ClaimedAttempt, recording: &Recording, continued: bool) -> Effects {
        let Recording { row, earlier, host, .. } = recording;
        let mut effects = match row.next_due {
            _ if continued => Effects::default(),
            Some(due) if !row.state.is_ended() => {
                // The message may come before the row is written: it names only a row that is already stored.
                self.defer(&claimed.received, &claimed.owed, host, due, claimed.row.as_ref())
            }
            _ => delete_or_defer(self, &claimed.received, (&claimed.owed, Some(&claimed.rule.definition))),
        };
        effects.put.extend(earlier.as_ref().map(|attempt| self.earlier_attempt(&row.owed.id, attempt, self.store.now())));
        self.put_with_outbox(&mut effects, row);
        effects
    }

    /// The time that a table has for taking the record of this attempt.
    fn left_for_recording(&self, claimed: &ClaimedAttempt) -> Duration {
        let now = self.store.now();
        let until = claimed.until.map_or(Timestamp::MAX, |until| until - LEAST);
        let left = (claimed.lease_until - MARGIN).min(until).duration_since(now);
        left.clamp(LEAST, PATIENCE).unsigned_abs()
    }

    /// Records, and tries again for as long as `left`. Returns false if no write succeeded in time.
    async fn record_within(&self, effects: &Effects, listing: Option<Listing>, left: Duration) -> bool {
        let deadline = Instant::now() + left;
        let mut longest = FIRST_PAUSE;
        while let Ok(recorded) = timeout_at(deadline, self.recorder.record(effects.clone(), listing.clone())).await {
            let Err(error) = recorded else { return true };
            tracing::debug!(%error, "a record is written again");
            let share = u32::try_from(random() % 1_000).unwrap_or_default();
            let pause = longest * share / 1_000;
            if Instant::now() + pause >= deadline {
                return false;
            }
            sleep(pause).await;
            longest *= 2;
        }
        false
    }

    /// Writes a record that the table did not take before.
    ///
    /// # Errors
    /// The table does not take it now either: the message comes again.
    pub(crate) async fn write_recording(&self, received: &Received, recording: Recording) -> Result<(), StoreError> {
        let now = self.store.now();
        let Recording { row, earlier, unlisted, host } = &recording;
        let key = keys::delivery(&row.owed.id);
        for _ in 0..TRIES {
            let stored = self.store.get_one(key.clone()).await?;
            let rev = stored.as_ref().map(|item| item.rev);
            let known: Option<DeliveryRow> = stored.map(|item| rows::read_item(&item)).transpose()?;
            let standing = Standing::of(known.as_ref(), row);
            let mut put: Vec<_> = earlier.iter().map(|attempt| self.earlier_attempt(&row.owed.id, attempt, now)).collect();
            // This message holds the response data until the row is written: the row need not.
            let publish = match &known {
                Some(known) if standing == Standing::This => known.unpublished(),
                _ if standing == Standing::More => {
                    put.extend(row.last.as_ref().map(|attempt| self.earlier_attempt(&row.owed.id, attempt, now)));
                    row.unpublished_without_end()
                }
                _ => row.unpublished(),
            };
            if *unlisted {
                put.extend(self.recorder.pages(&[Listing::of(row)], now));
            }
            self.store.commit_one(Effects { publish, put, ..Effects::default() }).await?;
            if standing == Standing::Less {
                let new = Some(self.store.delivery_item(&row.published()));
                if !self.store.swap_one(Swap { key: key.clone(), expect: rev, new }).await.is_done()? {
                    continue;
                }
            }
            let mut effects = received.done();
            if let Some(due) = row.next_due.filter(|_| standing != Standing::More && !row.state.is_ended()) {
                let task = Task::Wake { delivery: row.owed.id.clone() };
                wake(&mut effects, &task, &row.owed, host, due.max(now), now);
            }
            return self.store.commit_one(effects).await;
        }
        Err(StoreError::Contended(format!("the row of delivery {}", row.owed.id)))
    }
}

/// The step that follows at once on an attempt with this row: the next of its flow, unless its message has been worked for long.
fn continued(claimed: &ClaimedAttempt, row: &DeliveryRow, now: Timestamp) -> Option<Continued> {
    let is_soon = now < claimed.began + AT_ONCE;
    (is_soon && row.keeps_until.is_some()).then(|| Continued::of(claimed))
}

/// The log's knowledge of a delivery, compared with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Less than the record: its row is written.
    Less,
    /// Just this record: a write of it has landed.
    This,
    /// More than it: a later attempt, a new budget, or an end.
    More,
}

impl Standing {
    fn of(known: Option<&DeliveryRow>, row: &DeliveryRow) -> Self {
        let Some(known) = known else { return Self::Less };
        if known.published() == row.published() {
            return Self::This;
        }
        // A writer that took the attempt for cut off may have written an end. That end is not true if the attempt was delivered.
        let was_delivered = row.state == State::Delivered && known.state.is_ended() && known.state != State::Delivered;
        let is_latest = known.attempts < row.attempts || (known.attempts == row.attempts && was_delivered);
        if is_latest && known.base == row.base { Self::Less } else { Self::More }
    }
}
