//! One send on its way: whose it is, and what it waits for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// The owner of the rule, as lookups are counted by.
    pub(super) owner: Arc<str>,
    stage: Mutex<Stage>,
}

impl Progress {
    pub(super) fn new(owner: &str) -> Arc<Self> {
        Arc::new(Self { owner: owner.into(), stage: Mutex::new(Stage::Receiver) })
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

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
