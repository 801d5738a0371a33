//! The way of a receiver that is down back to one that is sent to: probes, and letting waiting deliveries go (B3–B5).
//!
//! A sweep begins a probe when one is due: the compare-and-set of the receiver's row gives it to one delivery, whose message is then sent.
//! The lease of a lost probe ends by time. Each answer to a delivery that was let go lets two more go; a sweep continues if that was cut
//! off.

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::DeliveryId,
    id::Id,
    receiver::{LONGEST_OUTAGE, MANY_WAIT, ProbeCandidate, ReceiverState, choose_probe},
};

use super::{Receivers, queue::Filed, row::ReceiverRow};
use crate::{
    backend::{Backend, Order, Partition, Range, StoreError},
    keys,
    rows::DeliveryRow,
};

/// Receivers that are not well and are read at a time.
const PAGE: usize = 100;
/// Waiting deliveries of each shard that are looked at for a probe, and when some are let go.
const LOOKED_AT: usize = 26;
/// The time after which a sweep goes on letting go, or publishes the event in a row's outbox.
const STALLED: SignedDuration = SignedDuration::from_secs(30);

impl<B: Backend> Receivers<B> {
    /// Looks after the receivers that are not well. Returns the number of them.
    ///
    /// # Errors
    /// The store is unavailable: a later call does the rest.
    pub(crate) async fn look_after(&self) -> Result<usize, StoreError> {
        let partition = Partition::Attention(keys::UNWELL_RECEIVERS.to_owned());
        let (mut range, mut looked_after, mut failed) = (Range::default(), 0, None);
        loop {
            let items = self.store.backend().query(&partition, &range, Order::Ascending, PAGE).await?;
            for item in &items {
                let Ok(id) = item.key.sort.parse::<Id>() else { continue };
                looked_after += 1;
                if let Err(error) = Box::pin(self.look_after_one(&id)).await {
                    tracing::error!(receiver_id = %id, %error, "a receiver was not looked after: a later sweep does it");
                    failed = Some(error);
                }
            }
            let last = items.last().filter(|_| items.len() == PAGE).and_then(|item| item.attention.as_ref());
            match last {
                Some(last) => range.from = Some(format!("{}\0", last.sort)),
                None => return failed.map_or(Ok(looked_after), Err),
            }
        }
    }

    async fn look_after_one(&self, id: &Id) -> Result<(), StoreError> {
        let now = self.store.now();
        let Some(row) = self.read(id).await? else { return Ok(()) };
        let is_old = row.announcement.as_ref().is_none_or(|announcement| announcement.at + STALLED <= now);
        if row.has_unfinished() && is_old {
            self.finish(&row).await?;
        }
        match row.health.state {
            ReceiverState::Open => self.probe_if_due(&row, now).await.map(drop),
            ReceiverState::HalfOpen if self.memory.has_released_none_since(id, now - STALLED) => self.release_oldest(id, 1).await,
            ReceiverState::Suspect if row.health.is_stale_suspect(now) => {
                let close = |row: &mut ReceiverRow| row.health.is_stale_suspect(now) && row.health.close(now).is_none();
                self.change(&row.receiver, close).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Begins a probe if one is due. Deliveries that have waited too long are let go first, and end.
    pub(super) async fn probe_if_due(&self, row: &ReceiverRow, now: Timestamp) -> Result<(), StoreError> {
        let waiting = self.oldest(&row.receiver.id, LOOKED_AT).await?;
        let (over, mut waiting): (Vec<Filed>, Vec<Filed>) = waiting.into_iter().partition(|filed| filed.row.until <= now);
        self.release(&over).await?;
        let due = next_probe(row, &waiting, now);
        if row.health.is_probed(now) || due.is_none_or(|due| due > now) {
            return Ok(());
        }
        while let Some(at) = chosen(&waiting) {
            let filed = waiting.swap_remove(at);
            if !self.still_waits(&row.receiver.id, &filed.row.delivery).await? {
                self.unfile(&row.receiver.id, &filed.row).await?;
                continue;
            }
            let generation = row.health.generation;
            let begin =
                |row: &mut ReceiverRow| row.health.generation == generation && row.health.begin_probe(&filed.row.delivery, now);
            if self.change(&row.receiver, begin).await?.is_some() {
                tracing::info!(receiver_id = %row.receiver.id, delivery_id = %filed.row.delivery, "a receiver is probed");
                self.release(&[filed]).await?;
            }
            return Ok(());
        }
        Ok(())
    }

    async fn still_waits(&self, receiver: &Id, delivery: &DeliveryId) -> Result<bool, StoreError> {
        let read = StoreError::pass_over(self.store.read_row::<DeliveryRow>(keys::delivery(delivery)).await)?.flatten();
        let waits = |row: &DeliveryRow| row.receiver_wait.as_ref().is_some_and(|wait| wait.receiver == *receiver);
        Ok(read.is_some_and(|(row, _)| !row.state.is_ended() && waits(&row)))
    }

    /// Lets the oldest deliveries go that wait for a receiver that has answered again, and closes the receiver once none waits.
    pub(super) async fn release_oldest(&self, id: &Id, number: usize) -> Result<(), StoreError> {
        let gate = self.memory.gate(id);
        let _one_at_a_time = gate.lock().await;
        let waiting = self.oldest(id, LOOKED_AT.max(number)).await?;
        let (first, left) = waiting.split_at(number.min(waiting.len()));
        self.release(first).await?;
        let now = self.store.now();
        self.memory.note_released(id, first.len(), now);
        if left.len() > MANY_WAIT {
            return Ok(());
        }
        let Some(row) = self.read(id).await? else { return Ok(()) };
        if left.is_empty() {
            self.close(&row, None).await
        } else if row.health.has_many {
            let few = |row: &mut ReceiverRow| std::mem::take(&mut row.health.has_many);
            self.change(&row.receiver, few).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// Closes a receiver that has answered again, and lets go the deliveries that began to wait meanwhile.
    pub(super) async fn close(&self, row: &ReceiverRow, reason: Option<&str>) -> Result<(), StoreError> {
        let now = self.store.now();
        let close = |row: &mut ReceiverRow| {
            if row.health.state != ReceiverState::HalfOpen {
                return false;
            }
            if let Some(transition) = row.health.close(now) {
                row.announce(transition, now, reason);
            }
            row.leftovers = true;
            true
        };
        self.change_and_publish(&row.receiver, close).await.map(drop)
    }

    /// Lets everything go that waits for a receiver, up to a bound. Returns true if nothing is left.
    pub(super) async fn release_all(&self, id: &Id) -> Result<bool, StoreError> {
        let waiting = self.oldest(id, LOOKED_AT).await?;
        self.release(&waiting).await?;
        Ok(waiting.len() < LOOKED_AT)
    }
}

/// The time of the next probe while these wait.
pub(super) fn next_probe(row: &ReceiverRow, waiting: &[Filed], now: Timestamp) -> Option<Timestamp> {
    let until = waiting.iter().map(|filed| filed.row.until).min().unwrap_or(now + LONGEST_OUTAGE);
    let candidates: Vec<ProbeCandidate> = waiting.iter().map(Filed::candidate).collect();
    row.health.next_probe(&candidates, until, now)
}

/// The place of the delivery that probes.
fn chosen(waiting: &[Filed]) -> Option<usize> {
    let candidates: Vec<ProbeCandidate> = waiting.iter().map(Filed::candidate).collect();
    let delivery = &choose_probe(&candidates)?.id;
    waiting.iter().position(|filed| filed.row.delivery == *delivery)
}
