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
    rows::{self, Job, Parameters},
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
    /// Adds the row of the parameters of a long event to the items to put, unless it has one. From here on the job is written without
    /// them.
    pub(crate) fn set_aside(&self, job: &mut Job, put: &mut Vec<Item>) {
        let Some(name) = job.event.unkept() else { return };
        let key = keys::parameters(&job.id, name);
        if put.iter().all(|item| item.key != key) && !self.aside.has(&key, self.now()) {
            put.push(self.lasting(rows::item(key, &job.event.parameters())));
        }
        job.event.keep();
    }

    /// The same for several jobs, durable at once.
    pub(crate) async fn set_all_aside(&self, jobs: impl Iterator<Item = &mut Job>) -> Result<(), StoreError> {
        let mut put = Vec::new();
        jobs.for_each(|job| self.set_aside(job, &mut put));
        let written: Vec<Key> = put.iter().map(|item| item.key.clone()).collect();
        self.commit_one(Effects { put, ..Effects::default() }).await?;
        for key in written {
            self.aside.note(key, self.now());
        }
        Ok(())
    }

    /// Reads the parameters of a long event that have a row of their own; parameters that were stored with the event get such a row.
    /// Returns false if the row is gone.
    pub(crate) async fn complete(&self, job: &mut Job) -> Result<bool, StoreError> {
        if let Some(name) = job.event.unread() {
            let Some(item) = self.get_one(keys::parameters(&job.id, name)).await? else { return Ok(false) };
            job.event.complete(rows::read_item::<Parameters>(&item)?);
            if item.expires.is_some_and(|at| at < self.now() + self.memory()) {
                let put = vec![self.lasting(item)];
                self.commit_one(Effects { put, ..Effects::default() }).await?;
            }
        }
        self.set_all_aside(std::iter::once(job)).await.map(|()| true)
    }

    /// The row of parameters, kept for longer than any delivery rests between two looks at it, and than its log is kept after the last.
    fn lasting(&self, item: Item) -> Item {
        Item { expires: Some(self.now() + self.memory() * 2), ..item }
    }
}
