//! The deliveries that wait for a receiver: a row each, filed once, in the order in which the deliveries were made.
//!
//! A row is a nudge like a message: the delivery's own row says whether the delivery still waits.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::{delivery::DeliveryId, id::Id, receiver::ProbeCandidate};

use super::Receivers;
use crate::{
    backend::{Backend, Effects, Item, Key, Lane, Message, Order, Partition, Range, StoreError},
    keys,
    rows::{self, Task},
};

/// The time for which a row is kept after the end of its delivery's wait.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 7);
/// The most waiting deliveries of a receiver that are counted, in all shards.
const MOST_COUNTED: usize = 1_000;

/// A delivery that waits for its receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingRow {
    pub(crate) delivery: DeliveryId,
    pub(crate) created_at: Timestamp,
    pub(crate) attempts_left: u32,
    /// The end of its wait.
    pub(crate) until: Timestamp,
    /// The group of its messages.
    pub(crate) group: String,
}

/// A row with its place.
#[derive(Debug, Clone)]
pub(super) struct Filed {
    pub(super) key: Key,
    pub(super) row: WaitingRow,
}

impl Filed {
    pub(super) fn candidate(&self) -> ProbeCandidate {
        let WaitingRow { delivery, created_at, attempts_left, .. } = &self.row;
        ProbeCandidate { id: delivery.clone(), attempts_left: *attempts_left, created_at: *created_at }
    }
}

impl<B: Backend> Receivers<B> {
    /// Files a delivery under the receiver that it waits for.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn file(&self, receiver: &Id, row: &WaitingRow) -> Result<(), StoreError> {
        let key = keys::waiting(receiver, row.created_at, &row.delivery);
        let item = Item { expires: Some(row.until + KEPT), ..rows::item(key, row) };
        self.store.commit_one(Effects { put: vec![item], ..Effects::default() }).await
    }

    /// Takes a delivery out of the queue again.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn unfile(&self, receiver: &Id, row: &WaitingRow) -> Result<(), StoreError> {
        let key = keys::waiting(receiver, row.created_at, &row.delivery);
        self.store.commit_one(Effects { delete: vec![key], ..Effects::default() }).await
    }

    /// The oldest that wait, up to so many of each shard: as many of them are the oldest of all.
    pub(super) async fn oldest(&self, receiver: &Id, of_each: usize) -> Result<Vec<Filed>, StoreError> {
        let mut found = Vec::new();
        for partition in keys::waiting_for(receiver) {
            let partition = Partition::Table(partition);
            let items = self.store.backend().query(&partition, &Range::default(), Order::Ascending, of_each).await?;
            let row = |item: Item| Some(Filed { row: self.store.readable(&item)?, key: item.key });
            found.extend(items.into_iter().filter_map(row));
        }
        found.sort_by(|one, other| one.key.sort.cmp(&other.key.sort));
        Ok(found)
    }

    /// The number that wait; a thousand means a thousand or more.
    pub(super) async fn count_waiting(&self, receiver: &Id) -> Result<usize, StoreError> {
        let mut count = 0;
        for partition in keys::waiting_for(receiver) {
            let limit = MOST_COUNTED - count;
            if limit > 0 {
                let partition = Partition::Table(partition);
                count += self.store.backend().query(&partition, &Range::default(), Order::Ascending, limit).await?.len();
            }
        }
        Ok(count)
    }

    /// Sends the messages of these, and takes them out of the queue.
    pub(super) async fn release(&self, filed: &[Filed]) -> Result<(), StoreError> {
        let now = self.store.now();
        let effects = filed.iter().map(|Filed { key, row }| {
            let body = rows::write_task(&Task::Wake { delivery: row.delivery.clone() });
            let message = Message { lane: Lane::Retry, group: row.group.clone(), not_before: Some(now), body };
            Effects { send: vec![message], delete: vec![key.clone()], ..Effects::default() }
        });
        let effects: Vec<_> = effects.collect();
        if effects.is_empty() {
            return Ok(());
        }
        self.store.backend().commit(effects).await.into_iter().collect()
    }
}
