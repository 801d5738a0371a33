//! One send on its way: its owner, and the thing that it waits for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

tokio::task_local! {
    static SENDING: Arc<Progress>;
}

/// Something that a send waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The receiver, or nothing yet.
    Receiver,
    /// A free place among the lookups that are open.
    LookupSlot,
    /// The nameserver's answer about a name.
    Lookup(String),
}

/// One send on its way.
#[derive(Debug)]
pub(super) struct Progress {
    /// The owner of the rule, by which lookups are counted.
    pub(super) owner: Arc<str>,
    stage: Mutex<Stage>,
    /// The time spent waiting for room for the response.
    waited: Mutex<Waited>,
}

#[derive(Debug, Default)]
struct Waited {
    before: Duration,
    since: Option<Instant>,
}

impl Waited {
    fn total(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Progress {
    pub(super) fn new(owner: &str) -> Arc<Self> {
        Arc::new(Self { owner: owner.into(), stage: Mutex::new(Stage::Receiver), waited: Mutex::default() })
    }

    /// The send that the present task makes.
    pub(super) fn current() -> Arc<Self> {
        SENDING.try_with(Arc::clone).unwrap_or_else(|_| Self::new(""))
    }

    /// Runs a send.
    pub(super) async fn scope<T>(self: Arc<Self>, send: impl Future<Output = T>) -> T {
        SENDING.scope(self, send).await
    }

    pub(super) fn set(&self, stage: Stage) {
        *self.lock() = stage;
    }

    pub(super) fn stage(&self) -> Stage {
        self.lock().clone()
    }

    /// Notes that the response waits for room, or no longer does.
    pub(super) fn waits_for_room(&self, waits: bool) {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        *waited = Waited { before: waited.total(), since: waits.then(Instant::now) };
    }

    /// The time for which the response has waited for room.
    pub(super) fn waited(&self) -> Duration {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner).total()
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
