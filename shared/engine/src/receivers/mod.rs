//! The receivers' health: those that are down, the deliveries that wait for them, and the events published about them (B1–B6).
//!
//! A receiver has a row from its first failure on. Decisions are core's ([`Health`]); here a process counts attempts in memory, and writes
//! the row by compare-and-set while something is bad or when the state changes. An attempt that is answered writes nothing unless failures came
//! before it, and reads the row at most once in two seconds; where one process has the store for itself, once.
//!
//! Deliveries that wait for a receiver are in its queue ([`queue`]), oldest first. A sweep looks after every receiver that is not well
//! ([`recovery`]): it begins probes, renews lost ones, lets go the deliveries that are left, and publishes what a crash left in a row's
//! outbox.

pub(crate) mod memory;
mod pace;
mod people;
pub(crate) mod queue;
mod recovery;
pub(crate) mod row;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use tracking_core::{
    delivery::DeliveryId,
    id::Id,
    receiver::{Health, Receiver, ReceiverState, Sign, Transition},
};

use crate::{
    backend::{Backend, Effects, Item, Lane, Message, StoreError, Swap},
    keys, rows,
    store::Store,
};
use memory::{Memory, Recalled, ToDo};
use pace::FilingPace;
use row::ReceiverRow;

/// The tries to change a row that others change.
const TRIES: usize = 20;

/// A recorded attempt, as its receiver's health sees it.
#[derive(Debug)]
pub(crate) struct ReceiverAttempt {
    pub(crate) receiver: Receiver,
    pub(crate) delivery: DeliveryId,
    /// The time at which it began.
    pub(crate) began: Timestamp,
    pub(crate) sign: Sign,
}

/// An outage that a delivery waits for.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) receiver: Receiver,
    /// The beginning.
    pub(crate) since: Timestamp,
}

impl Outage {
    fn of(row: &ReceiverRow) -> Self {
        Self { receiver: row.receiver.clone(), since: row.health.down_since.unwrap_or(row.health.since) }
    }

    /// The reason of a delivery that waits.
    pub(crate) fn reason(&self) -> String {
        format!("receiver is down since {}", self.since)
    }
}

/// Receivers: counted, probed, waited for; read and repaired by people.
#[derive(Debug)]
pub struct Receivers<B> {
    store: Arc<Store<B>>,
    memory: Memory,
    /// The pace of filing.
    pub(crate) pace: FilingPace,
}

impl<B: Backend> Receivers<B> {
    /// The service over this store.
    pub(crate) fn new(store: &Arc<Store<B>>) -> Self {
        let is_shared = store.settings.rule_lifetime.is_some();
        Self { store: Arc::clone(store), memory: Memory::new(is_shared), pace: FilingPace::default() }
    }

    /// Returns the outage for which a delivery is to wait, if its receiver is down. `has_waited`: it has waited for it before.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn outage(
        &self,
        receiver: &Receiver,
        delivery: &DeliveryId,
        has_waited: bool,
    ) -> Result<Option<Outage>, StoreError> {
        let now = self.store.now();
        let mut row = match self.memory.recall(&receiver.id, now) {
            Recalled::Row(row) => row,
            Recalled::Nothing => self.read(&receiver.id).await?,
        };
        let keeps = |row: &Arc<ReceiverRow>| row.health.keeps(delivery, has_waited, now);
        if has_waited && self.memory.is_shared() && row.as_ref().is_some_and(keeps) {
            // Another process may have let it go a moment ago.
            row = self.read(&receiver.id).await?;
        }
        Ok(row.filter(keeps).map(|row| Outage::of(&row)))
    }

    /// Returns the outage of this receiver as it is now, if it is not over.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn outage_now(&self, id: &Id) -> Result<Option<Outage>, StoreError> {
        let row = self.read(id).await?;
        Ok(row.filter(|row| row.health.is_out()).map(|row| Outage::of(&row)))
    }

    /// Notes the result of an attempt, once it is recorded. It returns no error.
    pub(crate) async fn note(&self, heard: ReceiverAttempt) {
        if let Err(error) = Box::pin(self.try_note(&heard)).await {
            tracing::warn!(receiver_id = %heard.receiver.id, %error, "the health of a receiver was not noted");
        }
    }

    async fn try_note(&self, heard: &ReceiverAttempt) -> Result<(), StoreError> {
        let now = self.store.now();
        let ReceiverAttempt { receiver, delivery, began, sign } = heard;
        match self.memory.hear(heard, now) {
            ToDo::Nothing => Ok(()),
            ToDo::Write(counts) => {
                let merge = |row: &mut ReceiverRow| {
                    if row.health.is_out() {
                        return false;
                    }
                    if let Some(transition) = row.health.merge(counts.clone(), now) {
                        row.announce(transition, now, None);
                    }
                    true
                };
                self.change_and_publish(receiver, merge).await.map(drop)
            }
            ToDo::Change => {
                let hear = |row: &mut ReceiverRow| row.health.hear(sign, (delivery, *began), now);
                let changed = self.change_and_publish(receiver, hear).await?;
                if changed.is_some_and(|row| row.health.state == ReceiverState::HalfOpen) {
                    self.release_oldest(&receiver.id, 1).await?;
                }
                Ok(())
            }
            ToDo::Trust => {
                let trust = |row: &mut ReceiverRow| {
                    let is_suspect = row.health.state == ReceiverState::Suspect;
                    is_suspect && row.health.close(now).is_none()
                };
                self.change(receiver, trust).await.map(drop)
            }
            ToDo::Release(number) => self.release_oldest(&receiver.id, number).await,
        }
    }

    /// Notes that a send to a receiver has run for long. Its next sends are kept apart from those to others.
    pub(crate) async fn suspect(&self, receiver: &Receiver) {
        let now = self.store.now();
        if self.memory.state(&receiver.id).is_some_and(|state| state != ReceiverState::Closed) {
            return;
        }
        if let Err(error) = self.change(receiver, |row| row.health.suspect(now)).await {
            tracing::debug!(receiver_id = %receiver.id, %error, "that a receiver is slow was not noted");
        }
    }

    /// Reads a receiver's row, and remembers it.
    async fn read(&self, id: &Id) -> Result<Option<Arc<ReceiverRow>>, StoreError> {
        let read = self.store.read_row::<ReceiverRow>(keys::receiver(id)).await?;
        let row = read.map(|(row, _)| Arc::new(row));
        self.memory.remember(id, row.clone(), self.store.now());
        Ok(row)
    }

    /// Changes a receiver's row, and makes it if there is none, unless `change` returns false. Returns the new row.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn change(
        &self,
        receiver: &Receiver,
        change: impl Fn(&mut ReceiverRow) -> bool,
    ) -> Result<Option<Arc<ReceiverRow>>, StoreError> {
        let key = keys::receiver(&receiver.id);
        for _ in 0..TRIES {
            let now = self.store.now();
            let (found, rev): (Option<ReceiverRow>, _) = self.store.read_row(key.clone()).await?.unzip();
            let mut row = found.clone().unwrap_or_else(|| ReceiverRow::new(receiver.clone(), Health::new(now)));
            if !change(&mut row) {
                self.memory.remember(&receiver.id, found.map(Arc::new), now);
                return Ok(None);
            }
            if rev.is_none() {
                self.list(receiver).await?;
            }
            let new = Some(row.item(now + self.store.settings.log_retention));
            if self.store.swap_one(Swap { key: key.clone(), expect: rev, new }).await.is_done()? {
                let row = Arc::new(row);
                self.memory.remember(&receiver.id, Some(Arc::clone(&row)), now);
                return Ok(Some(row));
            }
        }
        Err(StoreError::Contended(format!("receiver {}", receiver.id)))
    }

    /// Changes a receiver's row, and publishes the consequences.
    async fn change_and_publish(
        &self,
        receiver: &Receiver,
        change: impl Fn(&mut ReceiverRow) -> bool,
    ) -> Result<Option<Arc<ReceiverRow>>, StoreError> {
        // A concurrent writer does not carry out the transition once more.
        let is_transition = AtomicBool::new(false);
        let watched = |row: &mut ReceiverRow| {
            let before = row.has_unfinished();
            let changes = change(row);
            is_transition.store(!before && row.has_unfinished(), Ordering::Relaxed);
            changes
        };
        let changed = self.change(receiver, watched).await?;
        if let Some(row) = changed.as_ref().filter(|_| is_transition.load(Ordering::Relaxed)) {
            self.finish(row).await?;
        }
        Ok(changed)
    }

    /// Names an affiliate's receiver in the list of its receivers.
    async fn list(&self, receiver: &Receiver) -> Result<(), StoreError> {
        let Some(affiliate) = receiver.owner.affiliate() else { return Ok(()) };
        let expires = Some(self.store.now() + self.store.memory());
        let name = Item { expires, ..rows::item(keys::receiver_of(affiliate, &receiver.id), &()) };
        self.store.commit_one(Effects { put: vec![name], ..Effects::default() }).await
    }

    /// Publishes the event in a row's outbox, lets go the deliveries left in the queue of a receiver that is closed, and notes both.
    async fn finish(&self, row: &ReceiverRow) -> Result<(), StoreError> {
        if let Some(event) = row.unpublished() {
            // Not every process that looks after receivers may publish: the worker of the retry lane may.
            let body = event.as_message();
            let message = Message { lane: Lane::Retry, group: "publish".to_owned(), not_before: None, body };
            self.store.commit_one(Effects { send: vec![message], ..Effects::default() }).await?;
        }
        // A delivery that began to wait while the receiver was closed has either read that, or is in the queue by now.
        let is_empty = !row.leftovers || self.release_all(&row.receiver.id).await?;
        let announced = row.announcement.clone();
        let done = |row: &mut ReceiverRow| {
            row.announcement.take_if(|announcement| Some(&*announcement) == announced.as_ref());
            row.leftovers &= !is_empty;
            true
        };
        self.change(&row.receiver, done).await.map(drop)
    }
}

impl ReceiverRow {
    /// Notes a transition in the row's outbox.
    fn announce(&mut self, transition: Transition, now: Timestamp, reason: Option<&str>) {
        let (id, error) = (&self.receiver.id, self.health.last_error());
        match transition {
            Transition::Down => tracing::warn!(receiver_id = %id, host = %self.receiver.host, error, "a receiver is down"),
            Transition::Up => tracing::info!(receiver_id = %id, host = %self.receiver.host, "a receiver is up again"),
        }
        self.note_transition(transition, now, reason);
    }
}
