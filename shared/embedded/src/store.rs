//! The store: a folder opened by one process, shared by its tasks.

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Mutex, mpsc::Sender},
    thread::JoinHandle,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, oneshot};
use tracking_engine::backend::{
    Ack, Backend, Effects, Item, Key, Order, Partition, Range, Receipt, Received, StoreError, Swap, Swapped,
};

use crate::{
    bus::{self, BusEvent},
    lanes::{Depth, Lanes, Limits, Picked},
    open::{self, Durability, Lock, OpenError},
    read::{self, Readers},
    schema, time,
    write::{self, PURGE, SharedLanes, WriteRequest},
};

/// The longest time that a message waits in memory between two hand-outs. A message that waits longer is kept in the file alone.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// A store in a folder of its own: the engine's port, its queue and its bus. It is a handle: when the last one is dropped, pending jobs are
/// written, the log is folded into the file, and the folder is unlocked.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    incarnation: u64,
    jobs: Option<Sender<WriteRequest>>,
    thread: Option<JoinHandle<()>>,
    readers: Readers,
    lanes: SharedLanes,
    changed: Arc<Notify>,
    /// The file, for its syncs. Closed after all connections: closing a file frees the locks that this process has on it.
    _data: Arc<File>,
    _lock: Lock,
}

impl Store {
    /// Opens a folder, makes it if there is none, and migrates its file to the newest format. Messages that were not deleted when the store
    /// was last open can be received again.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_with(folder, Durability::Full)
    }

    /// Opens a folder as [`Self::open`] does, with a choice of the guarantee of an answered commit.
    pub fn open_with(folder: &Path, durability: Durability) -> Result<Self, OpenError> {
        let (lock, data) = open::lock(folder)?;
        let data = Arc::new(data);
        let mut connection = open::writing(folder, durability)?;
        schema::migrate(&mut connection)?;
        let incarnation = schema::next_incarnation(&connection)?;
        let lanes = Arc::new(Mutex::new(Lanes::load(&connection, incarnation)?));
        let changed = Arc::new(Notify::new());
        let checkpoints = open::writing(folder, durability)?;
        let synced = (durability == Durability::Full).then(|| Arc::clone(&data));
        let (jobs, thread) = write::start(connection, checkpoints, synced, Arc::clone(&lanes), Arc::clone(&changed))?;
        let (jobs, thread, readers) = (Some(jobs), Some(thread), Readers::new(folder));
        Ok(Self { inner: Arc::new(Inner { incarnation, jobs, thread, readers, lanes, changed, _data: data, _lock: lock }) })
    }

    /// Hands out at most `max` messages of all lanes that are due `now`, without waiting: the oldest first in a group, groups and lanes in
    /// turn, and never more at once than the limits allow (P5). Each message must be acked by a commit or handed back.
    ///
    /// If there are fewer than `max`, call again once [`Self::changed`] resolves, or at [`Picked::next_due`]. Until the next call the store
    /// takes `now` for the present.
    pub fn receive(&self, now: Timestamp, limits: &Limits, max: usize) -> Picked {
        write::lock(&self.inner.lanes).pick(&self.inner.readers, now, limits, max)
    }

    /// Hands a message back without an ack, for our own faults: it is handed out again from `at` on, or at once after a restart. A receipt
    /// that was used, or that isn't the last one, changes nothing.
    pub fn hand_back(&self, receipt: &Receipt, at: Timestamp) {
        if write::lock(&self.inner.lanes).hand_back(receipt, at) {
            self.inner.changed.notify_one();
        } else {
            let acks = vec![Ack::Defer(receipt.clone(), at)];
            let effects = vec![Effects { acks, ..Effects::default() }];
            // Nobody waits for the answer: if it can't be written, the message is handed out again after a restart.
            drop(self.send(|answer| WriteRequest::Commit { effects, answer }));
        }
    }

    /// Returns messages that are out, each with the owner whom its group names.
    pub(crate) fn with_owners(&self, messages: Vec<Received>) -> Vec<(Option<Box<str>>, Received)> {
        let lanes = write::lock(&self.inner.lanes);
        messages.into_iter().map(|message| (lanes.owner_of(&message.receipt), message)).collect()
    }

    /// Resolves when there may be more to receive since it last resolved: a message was sent, acked or handed back. For one loop. A change
    /// that happens while nobody waits is kept for the next call.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// Returns the number of messages of each lane.
    pub fn depth(&self) -> Result<Depth, StoreError> {
        let lanes = write::lock(&self.inner.lanes);
        self.inner.readers.read(|connection| lanes.depth(connection))
    }

    /// Returns at most `limit` events that were published behind `after`, or from the beginning; oldest first.
    pub fn published(&self, after: Option<u64>, limit: usize) -> Result<Vec<BusEvent>, StoreError> {
        self.inner.readers.read(|connection| bus::published(connection, after, limit))
    }

    /// Removes items that expired at `now` or before, and events that were on the bus for 30 days: a few hundred at a time, so that no
    /// other job waits long. Returns the number removed.
    pub async fn purge(&self, now: Timestamp) -> Result<usize, StoreError> {
        let until = time::down(now);
        let mut removed = 0;
        loop {
            let count = answered(self.send(|answer| WriteRequest::Purge { until, answer })).await?;
            removed += count;
            if count < PURGE {
                return Ok(removed);
            }
        }
    }

    /// Sends the writer a job. If the writer has ended, the sender of the answer is dropped.
    fn send<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> WriteRequest) -> oneshot::Receiver<T> {
        let (answer, waiting) = oneshot::channel();
        let jobs = self.inner.jobs.as_ref().expect("it is taken only when the last handle is dropped");
        // If the writer has ended, the job comes back and is dropped, and with it the answer's sender.
        drop(jobs.send(job(answer)));
        waiting
    }
}

/// Waits for the writer's answer.
async fn answered<T>(waiting: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    waiting
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("its writing thread has ended: restart this program".to_owned())))
}

impl Backend for Store {
    fn incarnation(&self) -> u64 {
        self.inner.incarnation
    }

    fn is_transactional(&self) -> bool {
        true
    }

    fn longest_wait(&self) -> SignedDuration {
        LONGEST_WAIT
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.inner.readers.read(|connection| read::many(connection, keys))
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.inner.readers.read(|connection| read::range(connection, partition, range, order, limit))
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        let count = swaps.len();
        let swapped =
            if count == 0 { Ok(Vec::new()) } else { answered(self.send(|answer| WriteRequest::Swap { swaps, answer })).await };
        swapped.unwrap_or_else(|fault| vec![Swapped::Unavailable(fault); count])
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        let count = effects.len();
        let committed =
            if count == 0 { Ok(()) } else { answered(self.send(|answer| WriteRequest::Commit { effects, answer })).await };
        vec![committed; count]
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.close();
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook, and every caller got an error.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_panic_of_the_writer_every_write_gets_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
        let ended = store.send(|_: oneshot::Sender<()>| WriteRequest::Panic);
        let fault = StoreError::Unavailable("its writing thread has ended: restart this program".to_owned());
        assert!(ended.await.is_err());
        assert_eq!(store.commit(vec![Effects::default(); 2]).await, vec![Err(fault.clone()); 2]);
        let swap = Swap { key: Key::new("a", "b"), expect: None, new: None };
        assert_eq!(store.swap(vec![swap]).await, vec![Swapped::Unavailable(fault.clone())]);
        assert_eq!(store.purge(Timestamp::UNIX_EPOCH).await, Err(fault));
        assert_eq!(store.get(&[Key::new("a", "b")]).await, Ok(vec![None]));
        drop(store);
        Store::open_with(folder.path(), Durability::Relaxed).unwrap();
    }
}
