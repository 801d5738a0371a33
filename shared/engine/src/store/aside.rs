//! The rows of the parameters of long events.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

use super::Store;
use crate::{
    backend::{Backend, Effects, Item, Key, StoreError},
    keys,
    rows::{self, OwedDelivery, Parameters},
};

/// Rows that a process remembers to have written.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_024).expect("it is not 0");
/// The time for which it does.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// The rows that this process wrote lately: the rules of one change need each no more than once.
#[derive(Debug)]
pub(super) struct LatelyAside(Mutex<LruCache<Key, Timestamp>>);

impl Default for LatelyAside {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST_REMEMBERED)))
    }
}

impl LatelyAside {
    fn has(&self, key: &Key, now: Timestamp) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(key).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    fn note(&self, key: Key, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, now);
    }
}

impl<B: Backend> Store<B> {
    /// Adds the row of the parameters of a long event to the items to put, unless it has one. From here on the owed
    /// delivery is written without them.
    pub(crate) fn set_aside(&self, owed: &mut OwedDelivery, put: &mut Vec<Item>) {
        let Some(name) = owed.event.unkept() else { return };
        let key = keys::parameters(&owed.id, name);
        if put.iter().all(|item| item.key != key) && !self.aside.has(&key, self.now()) {
            put.push(self.lasting(rows::item(key, &owed.event.parameters())));
        }
        owed.event.keep();
    }

    /// The same for several owed deliveries, durable at once.
    pub(crate) async fn set_all_aside(&self, all_owed: impl Iterator<Item = &mut OwedDelivery>) -> Result<(), StoreError> {
        let mut put = Vec::new();
        all_owed.for_each(|owed| self.set_aside(owed, &mut put));
        let written: Vec<Key> = put.iter().map(|item| item.key.clone()).collect();
        self.commit_one(Effects { put, ..Effects::default() }).await?;
        for key in written {
            self.aside.note(key, self.now());
        }
        Ok(())
    }

    /// Reads the parameters of a long event that have a row of their own; parameters that were stored with the event get such a row.
    /// Returns false if the row is gone.
    pub(crate) async fn complete(&self, owed: &mut OwedDelivery) -> Result<bool, StoreError> {
        if let Some(name) = owed.event.unread() {
            let Some(item) = self.get_one(keys::parameters(&owed.id, name)).await? else { return Ok(false) };
            owed.event.complete(rows::read_item::<Parameters>(&item)?);
            if item.expires.is_some_and(|at| at < self.now() + self.memory()) {
                let put = vec![self.lasting(item)];
                self.commit_one(Effects { put, ..Effects::default() }).await?;
            }
        }
        self.set_all_aside(std::iter::once(owed)).await.map(|()| true)
    }

    /// The row of parameters, kept for longer than any delivery rests between two looks at it, and than its log is kept after the last.
    fn lasting(&self, item: Item) -> Item {
        Item { expires: Some(self.now() + self.memory() * 2), ..item }
    }
}
