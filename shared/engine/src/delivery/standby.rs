//! Postbacks that wait until their rule sends again: until a secret is written again (Q5), or until the rule goes on after a pause. They
//! wait uncharged, for at most 72 hours.

use jiff::{SignedDuration, Timestamp};
use tracking_core::{delivery::State, standstill::WaitCause};

use super::Ending;
use crate::{
    backend::{Backend, Received, StoreError, Swap},
    delivery::Deliveries,
    keys,
    rows::{DeliveryRow, OwedDelivery},
    rules::Rule,
};

/// The longest wait.
pub(crate) const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(72);
/// The bounds of the time between two looks, which is a quarter of the time waited so far.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// The pause after somebody else wrote the row.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// A rule that does not send for now.
#[derive(Debug)]
pub(super) struct Standby {
    pub(super) rule: Rule,
    pub(super) cause: WaitCause,
    /// The reason; it names the secret, if it is one.
    pub(super) reason: String,
    pub(super) since: Timestamp,
}

impl<B: Backend> Deliveries<B> {
    /// Lets a postback wait, or ends it. No attempt is charged, and its place on the subject queue is as it was.
    pub(super) async fn stand_by(&self, received: &Received, owed: &OwedDelivery, standby: &Standby) -> Result<(), StoreError> {
        let now = self.store.now();
        let key = keys::delivery(&owed.id);
        let (row, rev): (Option<DeliveryRow>, _) = self.store.read_row(key.clone()).await?.unzip();
        if row.as_ref().is_some_and(|row| row.state.is_ended() || row.owed.epoch > owed.epoch) {
            return self.store.commit_one(received.done()).await;
        }
        let known = row.is_some();
        let max_attempts = standby.rule.definition.plan.first_call().retry.max_attempts();
        let mut row = row.unwrap_or_else(|| DeliveryRow::new(owed.clone(), State::Waiting, max_attempts));
        // A wait for an earlier change is another wait.
        let since = row.waits_since.filter(|since| *since >= standby.since).unwrap_or(now);
        if now >= since + LONGEST_WAIT {
            let (state, what) = match standby.cause {
                WaitCause::Paused => (State::Expired, "it did not go on"),
                _ => (State::Failed, "it was not written"),
            };
            let reason = format!("{}; {what} within 72 hours", standby.reason);
            let attempts = row.attempts;
            let ending = Ending {
                owed,
                row: rev.map(|rev| (row, rev)),
                attempts,
                max_attempts,
                definition: Some(&standby.rule.definition),
                emitted: Vec::new(),
            };
            if self.end(received, ending, state, &reason).await? {
                return Ok(());
            }
            return self
                .store
                .commit_one(self.defer(received, owed, standby.rule.definition.first_host(), now + AGAIN, None))
                .await;
        }
        let pause = ((now.duration_since(since)) / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut at = (now + pause).min(since + LONGEST_WAIT);
        if !known && !owed.held {
            self.recorder.list(&row).await?;
        }
        row.state = State::Waiting;
        row.reason = Some(standby.reason.clone());
        row.waits_since = Some(since);
        row.next_due = Some(at);
        row.keeps_until = None;
        let swap = Swap { key, expect: rev, new: Some(self.store.delivery_item(&row)) };
        if !self.store.swap_one(swap).await.is_done()? {
            at = now + AGAIN;
        }
        crate::spans::waits(standby.cause, at);
        let host = standby.rule.definition.first_host();
        self.store.commit_one(self.defer(received, owed, host, at, known.then_some(&row))).await
    }
}
