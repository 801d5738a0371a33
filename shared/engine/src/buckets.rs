//! Buckets of this process that are emptied by use and fill steadily, one for each key.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

/// The number of buckets that are remembered; beyond it full ones are forgotten.
const MOST_BUCKETS: usize = 1_024;

/// For each key the time at which its bucket is full again.
#[derive(Debug)]
pub(crate) struct Buckets<K>(Mutex<HashMap<K, Timestamp>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    /// Takes from a bucket what comes into it in `cost`. Returns false if it holds less; a full one holds what comes in `whole`.
    pub(crate) fn take(&self, key: &K, cost: SignedDuration, whole: SignedDuration, now: Timestamp) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS {
            buckets.retain(|_, full| *full > now);
        }
        let full = buckets.get(key).map_or(now, |full| *full.max(&now)) + cost;
        let holds = full <= now + whole;
        if holds {
            buckets.insert(key.clone(), full);
        }
        holds
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
