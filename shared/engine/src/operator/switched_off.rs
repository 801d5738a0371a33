//! The end of the waiting or held deliveries of a rule that was switched off or deleted (P6).

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::{
    delivery::{DeliveryId, State},
    id::Id,
    subject_queue::SubjectQueue,
};

use super::Operator;
use crate::{
    backend::{Backend, Key, Order, Partition, Range, Received, StoreError, Swap},
    delivery::SWITCHED_OFF,
    keys,
    rows::DeliveryRow,
    rules::cancel_message,
};

/// Deliveries that one step of a cancellation looks at.
const CANCEL_STEP: usize = 100;

impl<B: Backend> Operator<B> {
    /// Ends the waiting or held deliveries of a rule that was switched off or deleted (P6), a step at a time; it looks at no other rule's.
    /// An attempt that is under way ends its delivery by itself. A missed delivery ends when its own message comes: the rule's epoch has
    /// moved on.
    pub(crate) async fn cancel_waiting(
        &self,
        received: &Received,
        rule: &Id,
        epoch: u64,
        from: Option<String>,
    ) -> Result<(), StoreError> {
        let now = self.store.now();
        let partitions = keys::open_of(rule);
        // The place where the last step stopped: the partition's number and the place in it.
        let (number, place) = match from.as_deref().and_then(|from| from.split_once('|')) {
            Some((number, place)) => (number.parse().unwrap_or(0), Some(place.to_owned())),
            None => (0, None),
        };
        let mut effects = received.done();
        let mut next = None;
        if let Some(partition) = partitions.get(number) {
            let range = Range { from: place.filter(|place| !place.is_empty()).map(|place| format!("{place}\0")), before: None };
            let found = self
                .store
                .backend()
                .query(&Partition::Attention(partition.clone()), &range, Order::Ascending, CANCEL_STEP)
                .await?;
            let keys: Vec<Key> = found.iter().map(|item| item.key.clone()).collect();
            let items = self.store.get_all(&keys).await?;
            let (mut open, mut revs) = (Vec::new(), BTreeMap::new());
            for item in items.into_iter().flatten() {
                let Some(row) = self.store.readable::<DeliveryRow>(&item) else { continue };
                if row.owed.epoch < epoch && matches!(row.state, State::Waiting | State::Held) {
                    revs.insert(row.owed.id.clone(), item.rev);
                    open.push(row);
                }
            }
            let mut swaps = Vec::new();
            for mut row in self.without_attempt_under_way(open).await? {
                row.end(State::Cancelled, SWITCHED_OFF, now);
                let expect = revs.get(&row.owed.id).copied();
                swaps.push(Swap { key: keys::delivery(&row.owed.id), expect, new: Some(self.store.delivery_item(&row)) });
            }
            for swapped in self.store.backend().swap(swaps).await {
                // A delivery that was changed meanwhile ends when its own message comes.
                swapped.is_done()?;
            }
            next = match found.last().filter(|_| found.len() == CANCEL_STEP).and_then(|item| item.attention.as_ref()) {
                Some(last) => Some(format!("{number}|{}", last.sort)),
                None => Some(format!("{}|", number + 1)),
            };
        }
        effects.send.extend(next.map(|from| cancel_message(rule, epoch, Some(from))));
        self.store.commit_one(effects).await
    }

    /// The deliveries without a claimed attempt whose outcome is still to be recorded.
    async fn without_attempt_under_way(&self, rows: Vec<DeliveryRow>) -> Result<Vec<DeliveryRow>, StoreError> {
        let key = |row: &DeliveryRow| keys::subject_queue(&row.owed.id, &row.owed.rule, &row.owed.event.known().subject());
        let mut keys: Vec<Key> = rows.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let queues = self.store.get_all(&keys).await?;
        let mut claimed: BTreeMap<DeliveryId, u32> = BTreeMap::new();
        let mut unknown: BTreeSet<Key> = BTreeSet::new();
        for item in queues.into_iter().flatten() {
            match self.store.readable::<SubjectQueue>(&item) {
                Some(queue) => claimed.extend(queue.entries.into_iter().map(|entry| (entry.id, entry.attempts))),
                None => _ = unknown.insert(item.key),
            }
        }
        let is_idle = |row: &DeliveryRow| {
            !unknown.contains(&key(row)) && claimed.get(&row.owed.id).is_none_or(|claimed| *claimed <= row.attempts)
        };
        Ok(rows.into_iter().filter(is_idle).collect())
    }
}
