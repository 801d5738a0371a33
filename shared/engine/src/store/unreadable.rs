//! Rows that this version can't read: written by a newer version, or damaged. None of them stops a list, a batch or a sweep: a reader of
//! many rows passes over it, the process's log names it once, and admins see it in the lists with its key.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use serde::de::DeserializeOwned;
use tracking_core::{caller::Caller, json, json::Value};

use crate::{
    backend::{Backend, Item, Key},
    rows::{self, Unreadable},
    store::Store,
};

/// The most keys that are remembered; then logging begins again.
const MOST_REMEMBERED: usize = 1_000;

/// The keys of unreadable rows that the log has named.
#[derive(Debug, Default)]
pub(crate) struct UnreadableKeys(Mutex<BTreeSet<Key>>);

impl UnreadableKeys {
    /// Returns true the first time a key is given.
    fn is_new(&self, key: &Key) -> bool {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MOST_REMEMBERED {
            keys.clear();
        }
        keys.insert(key.clone())
    }
}

impl<B: Backend> Store<B> {
    /// Reads an item of many; `None` if it can't be read, which is logged once.
    pub(crate) fn readable<T: DeserializeOwned>(&self, item: &Item) -> Option<T> {
        self.or_unreadable(item, rows::read(&item.body))
    }

    /// The result of reading an item of many; `None` if it can't be read, which is logged once.
    pub(crate) fn or_unreadable<T>(&self, item: &Item, read: Result<T, Unreadable>) -> Option<T> {
        read.inspect_err(|error| self.note_unreadable(&item.key, error)).ok()
    }

    /// Logs a row that can't be read, once.
    pub(crate) fn note_unreadable(&self, key: &Key, error: &Unreadable) {
        if self.unreadable.is_new(key) {
            let Key { partition, sort } = key;
            tracing::error!(partition, sort, %error, "a row can't be read and is passed over");
        }
    }
}

/// Takes the keys of rows that can't be read, at most so many, as a list shows them.
pub(crate) fn take_shown(keys: &mut Vec<Key>, caller: &Caller, most: usize) -> Vec<Value> {
    let most = most.min(keys.len());
    keys.drain(..most).filter_map(|key| shown(caller, &key)).collect()
}

/// A row that can't be read, as a list shows it to admins; affiliates don't see it, since its owner is unknown.
pub(crate) fn shown(caller: &Caller, key: &Key) -> Option<Value> {
    (*caller == Caller::Admin).then(|| json!({"unreadable": {"partition": key.partition, "sort": key.sort}}))
}
