//! The pages of several logs, read side by side, newest first.

use std::collections::VecDeque;

use futures_util::future::try_join_all;

use crate::{
    backend::{Backend, Item, Order, Partition, Range, StoreError},
    store::Store,
};

/// Pages of one log read at a time.
const PAGES_READ: usize = 50;
/// Logs that are read side by side.
const LOGS_AT_ONCE: usize = 16;

/// The pages of several logs that were flushed at or after a time.
pub(crate) struct Pages {
    logs: Vec<LogPages>,
    /// The place before which no page is read.
    from: String,
    /// Reads so far.
    pub(crate) queries: usize,
}

struct LogPages {
    partition: String,
    /// Pages that were read and not given out, newest first.
    read: VecDeque<Item>,
    /// The place before which the next ones are read.
    before: Option<String>,
    is_drained: bool,
}

impl LogPages {
    fn is_to_read(&self) -> bool {
        self.read.is_empty() && !self.is_drained
    }

    async fn read<B: Backend>(&mut self, store: &Store<B>, from: &str) -> Result<(), StoreError> {
        let range = Range { from: Some(from.to_owned()), before: self.before.clone() };
        let partition = Partition::Table(self.partition.clone());
        let read = store.backend().query(&partition, &range, Order::Descending, PAGES_READ).await?;
        self.is_drained = read.len() < PAGES_READ;
        self.before = read.last().map(|page| page.key.sort.clone()).or_else(|| self.before.take());
        self.read = read.into();
        Ok(())
    }
}

impl Pages {
    /// The pages of the logs in these partitions whose places are at or after `from`.
    pub(crate) fn of(partitions: Vec<String>, from: String) -> Self {
        let log = |partition| LogPages { partition, read: VecDeque::new(), before: None, is_drained: false };
        Self { logs: partitions.into_iter().map(log).collect(), from, queries: 0 }
    }

    /// Passes over all pages whose places are at or after this one.
    pub(crate) fn pass_over(&mut self, place: &str) {
        for log in &mut self.logs {
            while log.read.front().is_some_and(|page| page.key.sort.as_str() >= place) {
                log.read.pop_front();
            }
            if log.read.is_empty() && log.before.as_deref().is_none_or(|before| before > place) {
                log.before = Some(place.to_owned());
            }
        }
    }

    /// Takes the newest page whose place is at or after this one; `None` if there is no more.
    pub(crate) async fn next<B: Backend>(&mut self, store: &Store<B>, place: &str) -> Result<Option<Item>, StoreError> {
        let mut unread: Vec<&mut LogPages> = self.logs.iter_mut().filter(|log| log.is_to_read()).collect();
        for some in unread.chunks_mut(LOGS_AT_ONCE) {
            self.queries += some.len();
            try_join_all(some.iter_mut().map(|log| log.read(store, &self.from))).await?;
        }
        let place_of = |log: &LogPages| log.read.front().map(|page| page.key.sort.clone());
        let newest = self.logs.iter_mut().max_by_key(|log| place_of(log));
        let is_taken = |log: &&mut LogPages| log.read.front().is_some_and(|page| page.key.sort.as_str() >= place);
        Ok(newest.filter(is_taken).and_then(|log| log.read.pop_front()))
    }
}
