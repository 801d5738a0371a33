//! Actions of people on deliveries: resend, stop, replay a period, backfill; and the end of a switched-off rule's open deliveries.

mod backfill;
mod replay;
mod replays;
mod resend;
mod switched_off;

use std::sync::Arc;

pub use replays::Replays;

use crate::{backend::Backend, delivery::Deliveries, holds::Holds, limits::Limits, log::Log, rules::Rules, store::Store};

/// Actions of people on deliveries.
#[derive(Debug)]
pub struct Operator<B> {
    store: Arc<Store<B>>,
    rules: Arc<Rules<B>>,
    deliveries: Arc<Deliveries<B>>,
    log: Arc<Log<B>>,
    holds: Arc<Holds<B>>,
    limits: Arc<Limits<B>>,
    replays: Replays<B>,
}

impl<B: Backend> Operator<B> {
    /// The service over these.
    pub(crate) fn new(log: &Arc<Log<B>>, holds: &Arc<Holds<B>>, limits: &Arc<Limits<B>>) -> Self {
        Self {
            store: Arc::clone(&log.store),
            rules: Arc::clone(&log.rules),
            deliveries: Arc::clone(&log.deliveries),
            log: Arc::clone(log),
            holds: Arc::clone(holds),
            limits: Arc::clone(limits),
            replays: Replays::new(&log.store),
        }
    }

    /// Replays and backfills.
    pub fn replays(&self) -> &Replays<B> {
        &self.replays
    }
}
