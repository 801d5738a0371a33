//! The loop that works the queue: it picks messages that are due and gives them to a handler, without polling.

mod effort;

use std::{collections::HashMap, pin::pin, time::Duration};

use effort::{Efforts, Measured};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    runtime::Handle,
    task::{Id, JoinError, JoinSet},
};
use tracking_engine::backend::{Lane, Receipt, Received};

use crate::{Limits, Store};

/// Messages that one handler is given at most.
const BATCH: usize = 16;
/// The time after which a message comes again that its handler did not ack.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// The longest sleep, in case the clock is set.
const NAP: Duration = Duration::from_mins(1);

/// The end of the work: once `asked` resolves, nothing more is picked; handlers that run then have a grace period before they are aborted.
#[derive(Debug)]
pub struct Stop<S> {
    /// Resolves when the work is to end.
    pub asked: S,
    /// The grace period.
    pub grace: Duration,
}

/// Works the queue until it is asked to stop.
///
/// A handler gets up to 16 messages of one lane and one owner, and acks each by a commit of its own. A message without an ack, after a return
/// or a panic, is handed out again after a second. Messages of owners that take much more processor time than usual are worked by the
/// threads of `costly`. One loop per store, since one loop alone is notified of changes.
pub async fn work<H, Fut>(
    store: Store,
    limits: Limits,
    clock: impl Fn() -> Timestamp,
    stop: Stop<impl Future<Output = ()>>,
    costly: &Handle,
    handle: H,
) where
    H: Fn(Vec<Received>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut asked = pin!(stop.asked);
    let mut running =
        Running { store: store.clone(), tasks: JoinSet::new(), batches: HashMap::new(), efforts: Efforts::default() };
    loop {
        let now = clock();
        while let Some(ended) = running.tasks.try_join_next_with_id() {
            running.ended(ended, now);
        }
        let picked = store.receive(now, &limits, BATCH);
        let idle = picked.messages.is_empty();
        for (owner, messages) in apart(&store, picked.messages) {
            let receipts = messages.iter().map(|message| message.receipt.clone()).collect();
            let is_costly = owner.as_ref().is_some_and(|owner| running.efforts.is_costly(owner, now));
            let work = Measured::begin(|| handle(messages));
            let task = if is_costly { running.tasks.spawn_on(work, costly) } else { running.tasks.spawn(work) };
            running.batches.insert(task.id(), Batch { owner, receipts });
        }
        let nap = picked.next_due.map_or(NAP, |due| Duration::try_from(due.duration_since(now)).unwrap_or_default().min(NAP));
        tokio::select! {
            biased;
            () = &mut asked => break,
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
    if tokio::time::timeout(stop.grace, all).await.is_err() {
        tracing::warn!(handlers = running.tasks.len(), "handlers were still running when the grace period ended");
        running.tasks.abort_all();
        while let Some(ended) = running.tasks.join_next_with_id().await {
            running.ended(ended, clock());
        }
    }
}

/// The running handlers, each with its batch.
struct Running {
    store: Store,
    tasks: JoinSet<Duration>,
    batches: HashMap<Id, Batch>,
    efforts: Efforts,
}

/// Messages that one handler works.
struct Batch {
    owner: Option<Box<str>>,
    receipts: Vec<Receipt>,
}

impl Running {
    /// Hands back the messages that a handler left. Receipts that were used have no effect any more.
    fn ended(&mut self, ended: Result<(Id, Duration), JoinError>, now: Timestamp) {
        let (id, spent) = match ended {
            Ok((id, spent)) => (id, Some(spent)),
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a handler panicked: its messages come again");
                }
                (error.id(), None)
            }
        };
        let Some(Batch { owner, receipts }) = self.batches.remove(&id) else { return };
        if let (Some(owner), Some(spent)) = (owner, spent) {
            self.efforts.spent(owner, receipts.len(), spent, now);
        }
        let again = now.saturating_add(AGAIN).unwrap_or(now);
        for receipt in receipts {
            self.store.hand_back(&receipt, again);
        }
    }
}

/// Splits messages into batches of one lane and one owner, which comes with each, so that a handler sees one kind, and one owner's work is
/// measured alone.
fn apart(store: &Store, messages: Vec<Received>) -> Vec<(Option<Box<str>>, Vec<Received>)> {
    let mut batches: Vec<(Lane, Option<Box<str>>, Vec<Received>)> = Vec::new();
    for (owner, message) in store.with_owners(messages) {
        let lane = message.receipt.lane;
        match batches.iter_mut().find(|(of, whose, _)| *of == lane && *whose == owner) {
            Some((.., batch)) => batch.push(message),
            None => batches.push((lane, owner, vec![message])),
        }
    }
    batches.into_iter().map(|(_, owner, batch)| (owner, batch)).collect()
}
