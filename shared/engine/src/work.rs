//! Working a batch of messages: records run concurrently, those about one subject of one rule in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::atomic::Ordering,
};

use futures_util::{
    FutureExt as _,
    future::{join, join_all},
};
use jiff::Timestamp;
use tokio::time::timeout;
use tracing::Instrument as _;
use tracking_core::{
    delivery::{DeliveryId, State},
    event::Order as Place,
    id::Id,
    line::Line,
    request::Rendered,
    template::RenderFault,
};

use crate::{
    Engine,
    backend::{Backend, Effects, Item, Key, Order, Partition, Range, Receipt, Received, Swap, Unavailable},
    deliver::{Claimed, Claiming, SWITCHED_OFF, Sent},
    keys,
    rows::{self, DeliveryRow, Task, Unreadable},
    rules::cancel_message,
    sender::{OurFault, SendFault, Sender},
    spans,
    turns::Turn,
};

/// Deliveries that one step of a cancellation looks at.
const CANCEL_STEP: usize = 100;

/// Messages that stand in line to be worked.
#[derive(Debug)]
pub struct Lined(Vec<Chain>);

/// A message that was not worked, to be handed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unworked {
    /// The receipt of the message.
    pub receipt: Receipt,
    /// The delivery that it is about, if it is about one.
    pub delivery_id: Option<DeliveryId>,
    /// The reason.
    pub failed: Failed,
}

impl Unworked {
    fn new(received: &Received, delivery_id: Option<DeliveryId>, failed: Failed) -> Self {
        Self { receipt: received.receipt.clone(), delivery_id, failed }
    }
}

/// Why a message was not worked: it is ours to mend, and no attempt is charged for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The store did not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Working it, or another of the same line, panicked.
    #[error("working it panicked")]
    Panic,
}

impl From<Failed> for Unavailable {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unavailable(error) => error,
            Failed::Panic => Self(failed.to_string()),
        }
    }
}

impl Lined {
    /// Takes out what can't be read, each with the reason: for whoever sets such messages aside by other means than the store.
    pub fn take_unreadable(&mut self) -> Vec<(Received, String)> {
        let mut unreadable = Vec::new();
        for chain in &mut self.0 {
            for (_, received, task) in chain.messages.extract_if(.., |(_, _, task)| task.is_err()) {
                unreadable.extend(task.err().map(|error| (received, error.to_string())));
            }
        }
        unreadable
    }
}

/// Messages about one line, in P3's order.
#[derive(Debug)]
struct Chain {
    turn: Turn,
    messages: Vec<(Place, Received, Result<Task, Unreadable>)>,
}

impl<B: Backend> Engine<B> {
    /// Puts messages in line as they were handed out: those about the same subject of the same rule are worked one after another, in
    /// P3's order. Call it where messages are picked, before their work is spawned.
    pub fn line_up(&self, batch: Vec<Received>) -> Lined {
        let mut chains: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for received in batch {
            let task = rows::read::<Task>(&received.body);
            let (line, place) = match &task {
                Ok(Task::Deliver(job)) => (format!("{}#{}", job.rule, job.event.0.subject()), job.event.0.order()),
                _ => (received.token.clone(), Place { version: 0, rank: 0 }),
            };
            chains.entry(line).or_default().push((place, received, task));
        }
        let chains = chains.into_iter().map(|(line, mut messages)| {
            messages.sort_by_key(|(place, ..)| *place);
            Chain { turn: self.turns.take(line), messages }
        });
        Lined(chains.collect())
    }

    /// Works messages: claims, sends, concludes and records what each is about. Different lines are worked concurrently, so that a
    /// slow receiver holds up no other record.
    ///
    /// After [`Engine::stop`] nothing more is claimed: messages whose turn has not come stay unsettled, and come again. Nor is anything
    /// claimed that could still run at `until`, if that is given: it is handed back at once, uncharged.
    ///
    /// Returns what is to be handed back: the store was unavailable, or a record made its work panic, which harms no other line. No
    /// attempt was charged beyond what was claimed.
    pub async fn work(&self, lined: Lined, sender: &Sender, until: Option<Timestamp>) -> Vec<Unworked> {
        let worked = lined.0.into_iter().map(|chain| async move {
            let unworked = |(_, received, task): &(_, Received, _)| {
                Unworked::new(received, spans::delivery_of(received, task), Failed::Panic)
            };
            let messages: Vec<_> = chain.messages.iter().map(unworked).collect();
            let worked = AssertUnwindSafe(self.work_chain(chain, sender, until)).catch_unwind().await;
            worked.unwrap_or(messages)
        });
        join_all(worked).await.into_iter().flatten().collect()
    }

    async fn work_chain(&self, mut chain: Chain, sender: &Sender, until: Option<Timestamp>) -> Vec<Unworked> {
        chain.turn.comes().await;
        let mut failed = Vec::new();
        for (_, received, task) in chain.messages {
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            let delivery_id = spans::delivery_of(&received, &task);
            let span = spans::of_message(delivery_id.as_ref(), &task);
            if let Err(error) = self.work_one(&received, task, sender, until).instrument(span).await {
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
    ) -> Result<(), Unavailable> {
        match self.claim_task(received, task, until).await? {
            Claiming::Settled => Ok(()),
            Claiming::Send(claimed) => {
                spans::add_attempt(&claimed);
                let (claimed, rendered) = self.rendered(claimed).await;
                let sent = match rendered {
                    // Other work of its owner's took too long. Nothing has left.
                    Ok(_) if claimed.heavy_owner().is_some() && claimed.is_late(self.now()) => {
                        Err(SendFault::Ours(OurFault("rendering waited too long for its turn".to_owned())))
                    }
                    Ok(rendered) => self.send(&claimed, rendered, sender).await,
                    Err(fault) => Err(fault.into()),
                };
                self.conclude(*claimed, sent).await
            }
        }
    }

    /// The request of a claimed attempt.
    async fn rendered(&self, claimed: Box<Claimed>) -> (Box<Claimed>, Result<Rendered, RenderFault>) {
        let owner = claimed.heavy_owner();
        let render = move || {
            let rendered = claimed.request();
            (claimed, rendered)
        };
        self.heavy.run(owner, render).await
    }

    async fn send(&self, claimed: &Claimed, rendered: Rendered, sender: &Sender) -> Sent {
        let mut sending = pin!(sender.request_for(claimed.owner(), rendered));
        if let Ok(sent) = timeout(self.settings.shown_after.unsigned_abs(), &mut sending).await {
            return sent;
        }
        // Only for people to see. It is waited for, so that no such write lands after the record, while the request goes on.
        let (sent, shown) = join(sending, self.show_as_sending(claimed)).await;
        if let Err(error) = shown {
            tracing::debug!(%error, "a running attempt could not be shown");
        }
        sent
    }

    /// Sets a message aside that can't be read: it is kept for people, and goes from its lane.
    pub(crate) async fn set_aside(&self, received: &Received, reason: &str) -> Result<(), Unavailable> {
        let now = self.now();
        let row = tracking_core::json!({"received_at": now, "message": received.body, "reason": reason});
        let place = format!("{}#{}", keys::sortable(now), received.token);
        let mut item: Item = rows::item(Key::new("POISON", place), &row);
        item.expires = Some(now + self.settings.log_retention);
        self.commit_one(Effects { put: vec![item], ..received.done() }).await
    }

    /// Ends what waits or is held of a rule that was switched off or deleted (P6), a step at a time. An attempt that is under way ends
    /// its delivery by itself. What this misses ends when its own message comes: the rule's epoch has moved on.
    pub(crate) async fn cancel_waiting(
        &self,
        received: &Received,
        rule: &Id,
        epoch: u64,
        from: Option<String>,
    ) -> Result<(), Unavailable> {
        let now = self.now();
        let partitions: Vec<String> =
            [State::Waiting, State::Held].into_iter().flat_map(|state| keys::troubles(state.as_str())).collect();
        // The place where the last step stopped: the partition's number and the place in it.
        let (number, place) = match from.as_deref().and_then(|from| from.split_once('|')) {
            Some((number, place)) => (number.parse().unwrap_or(0), Some(place.to_owned())),
            None => (0, None),
        };
        let mut effects = received.done();
        let mut next = None;
        if let Some(partition) = partitions.get(number) {
            let range = Range { from: place.filter(|place| !place.is_empty()).map(|place| format!("{place}\0")), before: None };
            let found = self.backend.query(&Partition::Trouble(partition.clone()), &range, Order::Ascending, CANCEL_STEP).await?;
            let keys: Vec<Key> = found.iter().map(|item| item.key.clone()).collect();
            let items = if keys.is_empty() { Vec::new() } else { self.backend.get(&keys).await? };
            let (mut open, mut revs) = (Vec::new(), BTreeMap::new());
            for item in items.into_iter().flatten() {
                let Some(row) = self.readable::<DeliveryRow>(&item) else { continue };
                if row.job.rule == *rule && row.job.epoch < epoch && matches!(row.state, State::Waiting | State::Held) {
                    revs.insert(row.job.id.clone(), item.rev);
                    open.push(row);
                }
            }
            let mut swaps = Vec::new();
            for mut row in self.without_attempt_under_way(open).await? {
                row.end(State::Cancelled, SWITCHED_OFF, now);
                let expect = revs.get(&row.job.id).copied();
                swaps.push(Swap { key: keys::delivery(&row.job.id), expect, new: Some(self.delivery_item(&row)) });
            }
            for swapped in self.backend.swap(swaps).await {
                // One that was changed meanwhile ends when its own message comes.
                swapped.is_done()?;
            }
            next = match found.last().filter(|_| found.len() == CANCEL_STEP).and_then(|item| item.trouble.as_ref()) {
                Some(last) => Some(format!("{number}|{}", last.sort)),
                None => Some(format!("{}|", number + 1)),
            };
        }
        effects.send.extend(next.map(|from| cancel_message(rule, epoch, Some(from))));
        self.commit_one(effects).await
    }

    /// Those deliveries of which no attempt is claimed whose outcome has not been recorded.
    async fn without_attempt_under_way(&self, rows: Vec<DeliveryRow>) -> Result<Vec<DeliveryRow>, Unavailable> {
        let key = |row: &DeliveryRow| keys::line(&row.job.id, &row.job.rule, &row.job.event.0.subject());
        let mut keys: Vec<Key> = rows.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let lines = if keys.is_empty() { Vec::new() } else { self.backend.get(&keys).await? };
        let mut claimed: BTreeMap<DeliveryId, u32> = BTreeMap::new();
        let mut unknown: BTreeSet<Key> = BTreeSet::new();
        for item in lines.into_iter().flatten() {
            match self.readable::<Line>(&item) {
                Some(line) => claimed.extend(line.entries.into_iter().map(|entry| (entry.id, entry.attempts))),
                None => _ = unknown.insert(item.key),
            }
        }
        let is_idle = |row: &DeliveryRow| {
            !unknown.contains(&key(row)) && claimed.get(&row.job.id).is_none_or(|claimed| *claimed <= row.attempts)
        };
        Ok(rows.into_iter().filter(is_idle).collect())
    }
}
