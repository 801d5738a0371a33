//! Receivers as people see them: listed, probed, reset.

use tracking_core::{caller::Caller, id::Id, json::Value, receiver::ReceiverState};

use super::{Receivers, recovery::next_probe, row::ReceiverRow};
use crate::{
    backend::{Backend, Key, Order, Partition, Range, StoreError},
    keys,
    refused::Refused,
};

/// Waiting deliveries of each shard from which the next probe is computed.
const LOOKED_AT: usize = 26;

impl<B: Backend> Receivers<B> {
    /// The receivers that have failed lately and that the caller may see, by their ids, and the place at which the next page begins (V2).
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn page(
        &self,
        caller: &Caller,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<Value>, Option<String>), Refused> {
        let own = match caller {
            Caller::Admin => None,
            Caller::Affiliate(affiliate) => Some(keys::receivers_of(affiliate)),
        };
        let partition = Partition::Table(own.clone().unwrap_or_else(|| keys::RECEIVERS.to_owned()));
        let range = Range { from: after.map(|after| format!("{after}\0")), before: None };
        let mut items = self.store.backend().query(&partition, &range, Order::Ascending, limit + 1).await?;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(|item| item.key.sort.clone()).filter(|_| has_more);
        if own.is_some() {
            let places: Vec<Key> = items.iter().map(|item| Key::new(keys::RECEIVERS, item.key.sort.clone())).collect();
            items = self.store.get_all(&places).await?.into_iter().flatten().collect();
        }
        let mut views = Vec::new();
        for row in items.iter().filter_map(|item| self.store.readable::<ReceiverRow>(item)) {
            if caller.sees(&row.receiver.owner) {
                views.push(self.shown(&row).await?);
            }
        }
        Ok((views, next))
    }

    /// One receiver, if the caller may see it (V2).
    ///
    /// # Errors
    /// There is none; the store is unavailable.
    pub async fn one(&self, caller: &Caller, id: &Id) -> Result<Value, Refused> {
        let row = self.seen(caller, id).await?;
        Ok(self.shown(&row).await?)
    }

    /// Probes a receiver that is down at once, and often again afterwards.
    ///
    /// # Errors
    /// There is none; it is not down; the store is unavailable.
    pub async fn probe(&self, caller: &Caller, id: &Id) -> Result<Value, Refused> {
        let row = self.seen(caller, id).await?;
        let Some(row) = self.change(&row.receiver, |row| row.health.ask_probe()).await? else {
            let state = row.health.state.as_str();
            return Err(Refused::Conflict(format!("it is {state}: only a receiver that is open is probed")));
        };
        self.probe_if_due(&row, self.store.now()).await?;
        tracing::info!(receiver_id = %id, "a person asked to probe a receiver");
        self.one(caller, id).await
    }

    /// Sends to a receiver again: the deliveries that wait for it go out, the oldest first.
    ///
    /// # Errors
    /// There is none; the store is unavailable.
    pub async fn reset(&self, caller: &Caller, id: &Id) -> Result<Value, Refused> {
        let now = self.store.now();
        let row = self.seen(caller, id).await?;
        let reset = |row: &mut ReceiverRow| match row.health.state {
            ReceiverState::Open => row.health.release(now),
            ReceiverState::HalfOpen => false,
            ReceiverState::Suspect | ReceiverState::Closed => {
                row.health.close(now);
                true
            }
        };
        let changed = self.change(&row.receiver, reset).await?;
        tracing::info!(receiver_id = %id, "a person reset a receiver");
        if changed.is_none_or(|row| row.health.state == ReceiverState::HalfOpen) {
            self.release_oldest(id, 2).await?;
        }
        self.one(caller, id).await
    }

    async fn seen(&self, caller: &Caller, id: &Id) -> Result<ReceiverRow, Refused> {
        let found: Option<(ReceiverRow, u64)> = self.store.read_row(keys::receiver(id)).await?;
        let row = found.map(|(row, _)| row).filter(|row| caller.sees(&row.receiver.owner));
        row.ok_or(Refused::NotFound)
    }

    async fn shown(&self, row: &ReceiverRow) -> Result<Value, StoreError> {
        let id = &row.receiver.id;
        let is_well = matches!(row.health.state, ReceiverState::Closed | ReceiverState::Suspect) && !row.leftovers;
        if is_well {
            return Ok(row.view(0, None));
        }
        let count = self.count_waiting(id).await?;
        let waiting = self.oldest(id, LOOKED_AT).await?;
        Ok(row.view(count, next_probe(row, &waiting, self.store.now())))
    }
}
