//! Recording: the result of an attempt is written together with others that concluded meanwhile, and with the log's pages.
//!
//! The first caller writes for all callers that wait; a caller that comes during a write is written with the next ones.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{
        Notify,
        oneshot::{self, error::TryRecvError},
    },
    time::timeout,
};
use tracking_core::{caller::Owner, delivery::DeliveryId, hash, id::Id};

use crate::{
    backend::{Backend, Effects, Item, Key, StoreError},
    keys,
    rows::{self, DeliveryRow},
    store::{MEMORY, Store},
};

/// The longest time for which later callers wait for the one that writes.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// The tries to write pages again whose deliveries are recorded.
const LISTED_AGAIN: usize = 3;

/// A delivery that the log is to list.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    rule: Id,
    owner: Owner,
    id: DeliveryId,
    created_at: Timestamp,
}

/// A page of the log: the ids and creation times of the deliveries that one flush first recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) listed: Vec<(DeliveryId, Timestamp)>,
}

/// The effects to write, and the caller that waits for them.
#[derive(Debug)]
struct Waiting {
    effects: Effects,
    listing: Option<Listing>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

/// Gathers the effects of concurrent deliveries.
#[derive(Debug, Default)]
struct Gathering {
    waiting: Mutex<Vec<Waiting>>,
    writing: tokio::sync::Mutex<()>,
    under_way: Arc<Attempts>,
}

/// The attempts that are claimed and not yet concluded.
#[derive(Debug, Default)]
struct Attempts {
    count: AtomicUsize,
    none: Notify,
}

/// One attempt that will have to be recorded, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Attempts>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Attempts {
    /// Waits until none is under way.
    async fn end(&self) {
        loop {
            // Registered before the count is read, so that no notification is lost.
            let none = self.none.notified();
            if self.count.load(Ordering::Relaxed) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Listing {
    pub(crate) fn of(row: &DeliveryRow) -> Self {
        let owed = &row.owed;
        Self { rule: owed.rule.clone(), owner: owed.owner.clone(), id: owed.id.clone(), created_at: owed.created_at }
    }
}

/// Writes the effects of concurrent deliveries, together.
#[derive(Debug)]
pub(crate) struct Recorder<B> {
    store: Arc<Store<B>>,
    gathering: Gathering,
}

impl<B: Backend> Recorder<B> {
    /// The service over these.
    pub(crate) fn new(store: &Arc<Store<B>>) -> Self {
        Self { store: Arc::clone(store), gathering: Gathering::default() }
    }

    /// Announces an attempt that will have to be recorded.
    pub(crate) fn begin(&self) -> UnderWay {
        let under_way = &self.gathering.under_way;
        under_way.count.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(under_way))
    }

    /// Makes effects durable, together with those of others.
    pub(crate) async fn record(&self, effects: Effects, listing: Option<Listing>) -> Result<(), StoreError> {
        let gone = || StoreError::Unavailable("the recorder was stopped".to_owned());
        let (reply, mut recorded) = oneshot::channel();
        self.gathering.lock().push(Waiting { effects, listing, reply });
        // The writer may wait for a bus that does not answer: that holds up nobody else for long.
        let _writing = timeout(LONGEST_TURN, self.gathering.writing.lock()).await;
        match recorded.try_recv() {
            Ok(outcome) => return outcome,
            // The writer that had taken it along was cut off: the outcome is unknown.
            Err(TryRecvError::Closed) => return Err(gone()),
            Err(TryRecvError::Empty) => {}
        }
        if !self.store.settings.record_window.is_zero() {
            // An attempt that is under way soon has something to write too.
            let _time_is_up = timeout(self.store.settings.record_window.unsigned_abs(), self.gathering.under_way.end()).await;
        }
        let mut waiting = std::mem::take(&mut *self.gathering.lock());
        // A caller that gave up is not written for: its message comes again, and may have been worked elsewhere since.
        waiting.retain(|one| !one.reply.is_closed());
        let listings: Vec<Listing> = waiting.iter().filter_map(|one| one.listing.clone()).collect();
        let (mut effects, replies): (Vec<_>, Vec<_>) = waiting.into_iter().map(|one| (one.effects, one.reply)).unzip();
        // A step of their own: no other step's failure keeps the pages from being written. Pages only add ids, and readers drop repeats
        // and ids without a row: it does no harm if only they are written.
        let now = self.store.now();
        let pages = || Effects { put: self.pages(&listings, now), ..Effects::default() };
        effects.extend((!listings.is_empty()).then(pages));
        let mut outcomes = self.store.backend().commit(effects).await;
        if outcomes.len() > replies.len()
            && let Some(Err(error)) = outcomes.pop()
            && outcomes.iter().any(Result::is_ok)
        {
            self.list_again(pages(), &error).await;
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // The caller that waited may have been dropped meanwhile.
            drop(reply.send(outcome));
        }
        // A caller that still writes may have taken this one along.
        recorded.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Lists a delivery whose row is written next: readers of the log pass over an id without a row.
    pub(crate) async fn list(&self, row: &DeliveryRow) -> Result<(), StoreError> {
        self.record(Effects::default(), Some(Listing::of(row))).await
    }

    /// Writes pages whose deliveries are recorded already.
    async fn list_again(&self, pages: Effects, error: &StoreError) {
        tracing::warn!(%error, "pages of the log are written again");
        for _ in 0..LISTED_AGAIN {
            if self.store.commit_one(pages.clone()).await.is_ok() {
                return;
            }
        }
        let pages: Vec<_> = pages.put.iter().map(|page| page.body.as_str()).collect();
        tracing::error!(?pages, "deliveries are in no list: they are found by their conversion and by their ids alone");
    }

    /// The pages that list these deliveries: one a rule, and one for all.
    pub(crate) fn pages(&self, listings: &[Listing], now: Timestamp) -> Vec<Item> {
        // Of two flushes at the same time that list different deliveries neither replaces the other's page.
        let ids: Vec<&str> = listings.iter().map(|listing| listing.id.as_str()).collect();
        let flush = format!("{}#{}", keys::sortable(now), hash::text(&ids, 8));
        let mut pages: Vec<(String, Page)> = Vec::new();
        for listing in listings {
            for partition in [keys::whole_log_of(&flush), keys::rule_log_of(&listing.rule, &listing.owner, &flush)] {
                let entry = (listing.id.clone(), listing.created_at);
                match pages.iter_mut().find(|(known, _)| *known == partition) {
                    Some((_, page)) => page.listed.push(entry),
                    None => pages.push((partition, Page { listed: vec![entry] })),
                }
            }
        }
        let expires = Some(now + self.store.settings.log_retention + MEMORY);
        let item = |(partition, page): (String, Page)| Item { expires, ..rows::item(Key::new(partition, flush.clone()), &page) };
        pages.into_iter().map(item).collect()
    }
}

impl Gathering {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
