//! The store as the services see it: the backend with the clock and the settings, reads and writes of single items, and rows that
//! can't be read.

mod aside;
pub(crate) mod rejected;
pub(crate) mod unreadable;
mod update;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use tracking_core::{
    delivery::DeliveryId,
    subject_queue::{Present, SubjectQueue},
};

use crate::{
    Clock, Settings,
    backend::{Backend, Effects, Item, Key, StoreError, Swap, Swapped},
    failing::FailingRules,
    keys,
    rows::{self, DeliveryRow},
    tally::Tallying,
};
use aside::LatelyAside;
use rejected::RejectedRoom;
use unreadable::UnreadableKeys;
pub(crate) use update::Update;

/// The time for which queues and closed holds are remembered at least: P2's horizon.
pub(crate) const MEMORY: SignedDuration = SignedDuration::from_hours(24 * 400);

/// The longest time for which a record may be on its way after its lease.
pub(crate) const RECORDING: SignedDuration = SignedDuration::from_mins(10);

/// A backend, the clock and the settings that all services share.
#[derive(Debug)]
pub(crate) struct Store<B> {
    backend: B,
    clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) tally: Tallying,
    pub(crate) failing: FailingRules,
    unreadable: UnreadableKeys,
    rejected_room: RejectedRoom,
    aside: LatelyAside,
}

impl<B: Backend> Store<B> {
    /// A store of this backend.
    pub(crate) fn new(backend: B, clock: Clock, settings: Settings) -> Self {
        Self {
            backend,
            clock,
            settings,
            tally: Tallying::default(),
            failing: FailingRules::default(),
            unreadable: UnreadableKeys::default(),
            rejected_room: RejectedRoom::default(),
            aside: LatelyAside::default(),
        }
    }

    /// The backend.
    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The present, as subject queues are asked about it.
    pub(crate) fn present(&self) -> Present {
        let recording = if self.backend().is_transactional() { SignedDuration::ZERO } else { RECORDING };
        Present { now: self.now(), incarnation: self.backend().incarnation(), recording }
    }

    /// Returns one item, strongly consistent.
    pub(crate) async fn get_one(&self, key: Key) -> Result<Option<Item>, StoreError> {
        Ok(self.backend.get(&[key]).await?.pop().flatten())
    }

    /// Returns the items of these keys, strongly consistent, `None` where there is none. No keys cost no call.
    pub(crate) async fn get_all(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        if keys.is_empty() { Ok(Vec::new()) } else { self.backend.get(keys).await }
    }

    /// Reads one row with its revision.
    pub(crate) async fn read_row<T: DeserializeOwned>(&self, key: Key) -> Result<Option<(T, u64)>, StoreError> {
        let Some(item) = self.get_one(key).await? else { return Ok(None) };
        Ok(Some((rows::read_item(&item)?, item.rev)))
    }

    /// Changes one item unless somebody else has changed it.
    pub(crate) async fn swap_one(&self, swap: Swap) -> Swapped {
        let outcome = self.backend.swap(vec![swap]).await.pop();
        outcome.unwrap_or_else(|| Swapped::Unavailable(StoreError::Unavailable("the store gave no answer".to_owned())))
    }

    /// Makes the effects of one step durable.
    pub(crate) async fn commit_one(&self, effects: Effects) -> Result<(), StoreError> {
        if effects == Effects::default() {
            return Ok(());
        }
        let outcome = self.backend.commit(vec![effects]).await.pop();
        outcome.unwrap_or_else(|| Err(StoreError::Unavailable("the store gave no answer".to_owned())))
    }

    /// The time for which a step that must never be done twice is remembered.
    pub(crate) fn memory(&self) -> SignedDuration {
        MEMORY.max(self.settings.log_retention)
    }

    /// A subject queue as an item that is written now.
    pub(crate) fn queue_item(&self, key: Key, queue: &SubjectQueue, now: Timestamp) -> Item {
        Item { expires: Some(now + self.memory()), ..rows::item(key, queue) }
    }

    /// A delivery's row as an item: it expires once it is over, and the sparse index lists it while it is open, so that it is found when
    /// its rule is switched off.
    pub(crate) fn delivery_item(&self, row: &DeliveryRow) -> Item {
        let owed = &row.owed;
        let mut item = rows::item_as(owed.event.format(), keys::delivery(&owed.id), row);
        item.expires = row.ended_at.map(|ended| ended + self.settings.log_retention);
        if !row.state.is_ended() {
            item.attention = Some(keys::open(&owed.rule, owed.created_at, &owed.id));
        }
        item
    }

    pub(crate) async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        let item = self.get_one(keys::delivery(id)).await?;
        item.map(|item| rows::read_item(&item)).transpose()
    }

    /// Writes a row if nobody else has written it since it was read.
    pub(crate) async fn swap_delivery(&self, row: &DeliveryRow, rev: u64) -> Result<bool, StoreError> {
        let swap = Swap { key: keys::delivery(&row.owed.id), expect: Some(rev), new: Some(self.delivery_item(row)) };
        self.swap_one(swap).await.is_done()
    }
}
