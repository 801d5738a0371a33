//! The bound of a living rule's history: its oldest versions go once the newer ones take [`MAX_HISTORY_BYTES`].
//!
//! The changes themselves keep it: each sixteenth looks at the history, so that a history is at most 16 entries over its bound.

use tracking_core::id::Id;

use super::{Rules, audit::Entry};
use crate::{
    backend::{Backend, Effects, Item, Order, Partition, Range, StoreError},
    keys,
};

/// The most bytes of a living rule's history, as far as it is older than the newest whole text.
pub(super) const MAX_HISTORY_BYTES: usize = 2 << 20;
/// Versions from one look at the history to the next.
const PRUNE_EVERY: u64 = 16;
/// Entries read or removed at a time.
const FETCH: usize = 25;

/// A history as it is walked from its newest entry back.
#[derive(Default)]
struct Walk {
    bytes: usize,
    /// The place of the oldest entry that is kept; a text from which others differ is kept with them.
    oldest: Option<String>,
}

impl Walk {
    /// Adds the next older entry; returns false if it is over the bound, and so are all older ones.
    fn add(&mut self, item: &Item, is_whole: bool) -> bool {
        self.bytes += item.body.len();
        if self.bytes > MAX_HISTORY_BYTES && self.oldest.is_some() {
            return false;
        }
        if is_whole {
            self.oldest = Some(item.key.sort.clone());
        }
        true
    }
}

impl<B: Backend> Rules<B> {
    /// Removes the part beyond the bound of a rule's history after the change to this version. If it is cut off, the next one goes on.
    pub(super) async fn prune_history(&self, id: &Id, version: u64) -> Result<(), StoreError> {
        if !version.is_multiple_of(PRUNE_EVERY) {
            return Ok(());
        }
        let partition = Partition::Table(keys::rule(id));
        let mut walk = Walk::default();
        let mut range = Range::prefix("A#");
        let oldest = loop {
            let items = self.store.backend().query(&partition, &range, Order::Descending, FETCH).await?;
            let Some(last) = items.last() else { return Ok(()) };
            range.before = Some(last.key.sort.clone());
            // An entry that can't be read is removed when its turn comes.
            let is_over =
                items.iter().any(|item| !walk.add(item, self.store.readable(item).is_some_and(|entry: Entry| entry.is_whole())));
            if is_over {
                break walk.oldest;
            }
        };
        range.before = oldest;
        loop {
            let items = self.store.backend().query(&partition, &range, Order::Ascending, FETCH).await?;
            if items.is_empty() {
                return Ok(());
            }
            let delete = items.into_iter().map(|item| item.key).collect();
            self.store.commit_one(Effects { delete, ..Effects::default() }).await?;
        }
    }
}
