//! The loop that works the queue: it picks messages that are due and gives them to a handler, without polling.

use std::{collections::HashMap, pin::pin, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tracking_engine::backend::{Lane, Receipt, Received};

use crate::{Limits, Store};

/// Messages that one handler is given at most.
const BATCH: usize = 16;
/// The time after which a message comes again that its handler did not ack.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// The longest sleep, in case the clock is set.
const NAP: Duration = Duration::from_mins(1);

/// Works the queue until `shutdown` resolves. Then it picks nothing more, waits up to `grace` for the running handlers, and aborts the
/// rest.
///
/// A handler gets up to 16 messages of one lane and acks each by a commit of its own. A message without an ack, after a return or a panic,
/// is handed out again after a second. One loop per store, since one loop alone is notified of changes.
pub async fn work<H, Fut>(
    store: Store,
    limits: Limits,
    clock: impl Fn() -> Timestamp,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
    handle: H,
) where
    H: Fn(Vec<Received>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut shutdown = pin!(shutdown);
    let mut running = Running { store: store.clone(), tasks: JoinSet::new(), receipts: HashMap::new() };
    loop {
        let now = clock();
        while let Some(ended) = running.tasks.try_join_next_with_id() {
            running.ended(ended, now);
        }
        let picked = store.receive(now, &limits, BATCH);
        let idle = picked.messages.is_empty();
        for batch in by_lane(picked.messages) {
            let receipts = batch.iter().map(|message| message.receipt.clone()).collect();
            let id = running.tasks.spawn(handle(batch)).id();
            running.receipts.insert(id, receipts);
        }
        let nap = picked.next_due.map_or(NAP, |due| Duration::try_from(due.duration_since(now)).unwrap_or_default().min(NAP));
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = tokio::task::yield_now(), if !idle => {}
            Some(ended) = running.tasks.join_next_with_id(), if idle => running.ended(ended, clock()),
            () = store.changed(), if idle => {}
            () = tokio::time::sleep(nap), if idle => {}
        }
    }
    let all = async {
        while let Some(ended) = running.tasks.join_next_with_id().await {
            running.ended(ended, clock());
        }
    };
    if tokio::time::timeout(grace, all).await.is_err() {
        tracing::warn!(handlers = running.tasks.len(), "handlers were still running when the grace period ended");
        running.tasks.abort_all();
        while let Some(ended) = running.tasks.join_next_with_id().await {
            running.ended(ended, clock());
        }
    }
}

/// The running handlers, each with its messages.
struct Running {
    store: Store,
    tasks: JoinSet<()>,
    receipts: HashMap<Id, Vec<Receipt>>,
}

impl Running {
    /// Hands back the messages that a handler left. Receipts that were used have no effect any more.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>, now: Timestamp) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a handler panicked: its messages come again");
                }
                error.id()
            }
        };
        let again = now.saturating_add(AGAIN).unwrap_or(now);
        for receipt in self.receipts.remove(&id).unwrap_or_default() {
            self.store.hand_back(&receipt, again);
        }
    }
}

/// Splits messages into one batch for each lane, so that a handler sees one kind.
fn by_lane(messages: Vec<Received>) -> impl Iterator<Item = Vec<Received>> {
    let mut lanes: [(Lane, Vec<Received>); 3] = [Lane::Events, Lane::Delivery, Lane::Retry].map(|lane| (lane, Vec::new()));
    for message in messages {
        if let Some((_, batch)) = lanes.iter_mut().find(|(lane, _)| *lane == message.receipt.lane) {
            batch.push(message);
        }
    }
    lanes.into_iter().map(|(_, batch)| batch).filter(|batch| !batch.is_empty())
}
