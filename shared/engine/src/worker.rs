//! Working a batch of messages: they run concurrently, those about one subject of one rule in order.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};

use futures_util::{FutureExt as _, future::join_all};
use jiff::{SignedDuration, Timestamp};
use tracing::Instrument as _;
use tracking_core::{delivery::DeliveryId, event::Order as Place};

use crate::{
    backend::{Backend, Effects, Item, Key, Lane, Message, Received, StoreError},
    delivery::{ClaimOutcome, Continued, Deliveries, listen::hears},
    failed::Failed,
    holds::Holds,
    keys,
    log::Log,
    operator::Operator,
    publish::pause,
    rows::{self, DeliveryRow, PutOff, Task, Unreadable},
    sender::{OurFault, SendFault, Sender},
    spans,
    store::Store,
    turns::{QueueTurn, Turns},
};

/// The time for which a message waits for a version that can read it; then it is dead-lettered.
const MOST_PUT_OFF: SignedDuration = SignedDuration::from_hours(24);

/// Messages that are queued to be worked.
#[derive(Debug)]
pub struct QueuedMessages(Vec<SubjectMessages>);

/// A message that was not worked, to be handed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unworked {
    /// The message.
    pub received: Received,
    /// The delivery that it is about, if it is about one.
    pub delivery_id: Option<DeliveryId>,
    /// The reason.
    pub failed: Failed,
}

impl Unworked {
    fn new(received: &Received, delivery_id: Option<DeliveryId>, failed: Failed) -> Self {
        Self { received: received.clone(), delivery_id, failed }
    }
}

impl QueuedMessages {
    /// Takes out the messages that can't be read, each with the reason: for a caller that dead-letters them by other means than the store.
    pub fn take_unreadable(&mut self) -> Vec<(Received, String)> {
        let mut unreadable = Vec::new();
        for of_subject in &mut self.0 {
            for (_, received, task) in of_subject.messages.extract_if(.., |(_, _, task)| task.is_err()) {
                unreadable.extend(task.err().map(|error| (received, error.to_string())));
            }
        }
        unreadable
    }
}

/// Messages about one subject queue, in P3's order.
#[derive(Debug)]
struct SubjectMessages {
    turn: QueueTurn,
    messages: Vec<(Place, Received, Result<Task, Unreadable>)>,
}

/// Works queue messages.
#[derive(Debug)]
pub struct Worker<B> {
    store: Arc<Store<B>>,
    deliveries: Arc<Deliveries<B>>,
    holds: Arc<Holds<B>>,
    operator: Arc<Operator<B>>,
    log: Arc<Log<B>>,
    turns: Turns,
    stopping: AtomicBool,
}

impl<B: Backend> Worker<B> {
    /// The service over these.
    pub(crate) fn new(
        deliveries: &Arc<Deliveries<B>>,
        holds: &Arc<Holds<B>>,
        operator: &Arc<Operator<B>>,
        log: &Arc<Log<B>>,
    ) -> Self {
        Self {
            store: Arc::clone(&deliveries.store),
            deliveries: Arc::clone(deliveries),
            holds: Arc::clone(holds),
            operator: Arc::clone(operator),
            log: Arc::clone(log),
            turns: Turns::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The process is about to end: [`Worker::work`] begins no new send. Running sends are concluded as ever.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Queues messages as they were handed out: those about the same subject of the same rule are worked one after another, in P3's order.
    /// Call it where messages are picked, before their work is spawned.
    pub fn queue_up(&self, batch: Vec<Received>) -> QueuedMessages {
        let mut by_queue: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for received in batch {
            let (received, task) = self.read(received);
            let (queue, place) = match &task {
                Ok(Task::Deliver(owed)) => {
                    (format!("{}#{}", owed.rule, owed.event.known().subject()), owed.event.known().order())
                }
                _ => (received.receive_id.clone(), Place { version: 0, rank: 0 }),
            };
            by_queue.entry(queue).or_default().push((place, received, task));
        }
        let by_queue = by_queue.into_iter().map(|(queue, mut messages)| {
            messages.sort_by_key(|(place, ..)| *place);
            SubjectMessages { turn: self.turns.take(queue), messages }
        });
        QueuedMessages(by_queue.collect())
    }

    /// Works messages: claims, sends, concludes and records the attempt of each. Different subject queues are worked concurrently, so that
    /// a slow receiver holds up no other message.
    ///
    /// After [`Worker::stop`] nothing more is claimed: messages whose turn has not come stay unacked, and come again. Nor is anything
    /// claimed that could still run at `until`, if that is given: it is handed back at once, uncharged.
    ///
    /// Returns the messages to hand back: the store was unavailable, or the work of one panicked, which harms no other subject queue. No
    /// attempt was charged beyond those claimed.
    pub async fn work(&self, queued: QueuedMessages, sender: &Sender, until: Option<Timestamp>) -> Vec<Unworked> {
        let worked = queued.0.into_iter().map(|of_subject| async move {
            let unworked = |(_, received, task): &(_, Received, _)| {
                Unworked::new(received, spans::delivery_of(received, task), Failed::Panic)
            };
            let messages: Vec<_> = of_subject.messages.iter().map(unworked).collect();
            let worked = AssertUnwindSafe(self.work_in_order(of_subject, sender, until)).catch_unwind().await;
            worked.unwrap_or(messages)
        });
        join_all(worked).await.into_iter().flatten().collect()
    }

    async fn work_in_order(&self, mut of_subject: SubjectMessages, sender: &Sender, until: Option<Timestamp>) -> Vec<Unworked> {
        of_subject.turn.comes().await;
        let mut failed = Vec::new();
        for (_, received, task) in of_subject.messages {
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            let delivery_id = spans::delivery_of(&received, &task);
            let span = spans::of_message(delivery_id.as_ref(), &task);
            let worked = async {
                match self.work_one(&received, task, sender, until).await {
                    Err(StoreError::Newer { .. }) => self.put_off(&received, &PutOff::of(&received, self.store.now())).await,
                    worked => worked,
                }
            };
            if let Err(error) = worked.instrument(span).await {
                failed.push(Unworked::new(&received, delivery_id, error.into()));
            }
        }
        failed
    }

    async fn work_one(
        &self,
        received: &Received,
        task: Result<Task, Unreadable>,
        sender: &Sender,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut claiming = self.claim_task(received, task, until).await?;
        while let ClaimOutcome::Send(claimed) = claiming {
            spans::add_attempt(claimed.attempt());
            let (claimed, rendered) = self.deliveries.rendered(claimed).await;
            let sent = match rendered {
                // Other work of its owner took too long. Nothing has left.
                Ok(_) if claimed.heavy_owner().is_some() && claimed.is_late(self.store.now()) => {
                    Err(SendFault::Ours(OurFault("rendering waited too long for its turn".to_owned())))
                }
                Ok(rendered) => self.deliveries.send(&claimed, rendered, sender).await,
                Err(fault) => Err(fault.into()),
            };
            let concluded = self.deliveries.conclude(*claimed, sent).await;
            self.log.note_verdicts().await;
            // A message that is still open when the process stops comes again.
            let next = concluded?.filter(|_| !self.stopping.load(Ordering::Relaxed));
            let Some(next) = next else { break };
            claiming = self.go_on(next).await?;
        }
        Ok(())
    }

    /// Claims the request that follows at once on a recorded attempt, in the same working of its message (W15).
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn go_on(&self, next: Continued) -> Result<ClaimOutcome, StoreError> {
        let Continued { received, owed, until, began } = next;
        Box::pin(self.deliveries.claim_owed(&received, owed, None, until, Some(began))).await
    }

    /// Reads a message. A deferred one is taken out of its wrapping if this version can read it now, or if its time is over.
    fn read(&self, mut received: Received) -> (Received, Result<Task, Unreadable>) {
        match rows::read_task(&received.body) {
            Ok(Task::PutOff(put_off)) => match rows::read_task(&put_off.body) {
                Err(error) if error.is_newer() && self.store.now() < put_off.first_seen + MOST_PUT_OFF => {
                    (received, Ok(Task::PutOff(put_off)))
                }
                Err(error) => {
                    // It is dead-lettered as it came.
                    received.body = put_off.body;
                    (received, Err(error))
                }
                task => (received, task),
            },
            Err(error) if error.is_newer() => {
                let put_off = PutOff::of(&received, self.store.now());
                (received, Ok(Task::PutOff(Box::new(put_off))))
            }
            task => (received, task),
        }
    }

    /// Defers a message: sends it again, as it came, to be worked by a version that can read it and the rows that it needs.
    async fn put_off(&self, received: &Received, put_off: &PutOff) -> Result<(), StoreError> {
        let now = self.store.now();
        if now >= put_off.first_seen + MOST_PUT_OFF {
            let why = format!("no version that can read what it needs has come since {}", put_off.first_seen);
            return Err(StoreError::Corrupt { key: None, why });
        }
        tracing::warn!(first_seen = %put_off.first_seen, tries = put_off.tries, "a message needs a newer version and is put off");
        let task = Task::PutOff(Box::new(PutOff { tries: put_off.tries + 1, ..put_off.clone() }));
        let again = Message {
            lane: Lane::Retry,
            group: "put-off".to_owned(),
            not_before: Some(now + pause(put_off.tries)),
            body: rows::write_task(&task),
        };
        self.store.commit_one(Effects { send: vec![again], ..received.done() }).await
    }

    /// Dead-letters a message that can't be read: it is kept for people, and deleted from its lane.
    ///
    /// # Errors
    /// The store is unavailable: the message comes again.
    pub async fn dead_letter(&self, received: &Received, reason: &str) -> Result<(), StoreError> {
        let now = self.store.now();
        let row = tracking_core::json!({"received_at": now, "message": received.body, "reason": reason});
        let place = format!("{}#{}", keys::sortable(now), received.receive_id);
        let mut item: Item = rows::item(Key::new("POISON", place), &row);
        item.expires = Some(now + self.store.settings.log_retention);
        self.store.commit_one(Effects { put: vec![item], ..received.done() }).await
    }

    /// Claims the next attempt of a message's delivery, or deals with the message in another way.
    ///
    /// # Errors
    /// The store is unavailable: the message is to come again; no attempt is charged beyond one that may have been claimed.
    pub async fn claim(&self, received: &Received) -> Result<ClaimOutcome, StoreError> {
        let (received, task) = self.read(received.clone());
        self.claim_task(&received, task, None).await
    }

    /// The same for a message that has been read. Nothing is claimed that may not be over by `until`.
    pub(crate) async fn claim_task(
        &self,
        received: &Received,
        task: Result<Task, Unreadable>,
        until: Option<Timestamp>,
    ) -> Result<ClaimOutcome, StoreError> {
        let task = match task {
            Ok(task) => task,
            Err(error) => {
                // Poison: it will never be read, so it is dead-lettered at once, with its reason.
                tracing::error!(%error, "a message that can't be read was dead-lettered");
                self.dead_letter(received, &error.to_string()).await?;
                return Ok(ClaimOutcome::NothingToSend);
            }
        };
        match task {
            Task::Deliver(owed) => return Box::pin(self.deliveries.claim_owed(received, *owed, None, until, None)).await,
            Task::Wake { delivery } => match self.store.read_row::<DeliveryRow>(keys::delivery(&delivery)).await? {
                Some((row, _)) => {
                    spans::add_rule(&row.owed.rule);
                    return Box::pin(self.deliveries.claim_owed(received, row.owed.clone(), Some(row), until, None)).await;
                }
                None => self.store.commit_one(received.done()).await?,
            },
            Task::Heard { delivery } => match hears(&self.store, received, &delivery).await? {
                Some(row) => {
                    spans::add_rule(&row.owed.rule);
                    return Box::pin(self.deliveries.claim_owed(received, row.owed.clone(), Some(row), until, None)).await;
                }
                // The delivery has read the callback, or does not listen yet: then it looks for itself.
                None => self.store.commit_one(received.done()).await?,
            },
            Task::Release { conversion, rule } => self.holds.release(received, &conversion, &rule).await?,
            Task::Cancel { rule, epoch, from } => self.operator.cancel_waiting(received, &rule, epoch, from).await?,
            Task::Replay(replaying) => self.operator.replay_step(received, *replaying).await?,
            Task::Backfill(backfilling) => self.operator.backfill_step(received, *backfilling).await?,
            Task::Publish { events } => self.store.commit_one(Effects { publish: events, ..received.done() }).await?,
            Task::Record(recording) => self.deliveries.write_recording(received, *recording).await?,
            Task::PutOff(put_off) => self.put_off(received, &put_off).await?,
        }
        Ok(ClaimOutcome::NothingToSend)
    }
}
