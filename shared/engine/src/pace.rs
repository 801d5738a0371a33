//! `rate_per_second` of a rule: each attempt takes the rule's next free slot, and one that has to wait for its slot is charged nothing.
//!
//! Where the next free slot is stands in the store, so that all processes keep one rate together. Those of one process who ask at
//! the same time take their slots in one write. Whoever waits has its slot in a row of its own, and finds it in whatever process it
//! comes to when it comes again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::{delivery::DeliveryId, id::Id};

use crate::{
    Engine,
    backend::{Backend, Item, Swap, Unavailable},
    keys, rows,
};

/// A slot further away than this is not kept: the delivery asks again then.
const FARTHEST: SignedDuration = SignedDuration::from_mins(10);

/// A slot that passed so long ago is nobody's: its delivery takes another one.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(1);

/// Where the next free slot of a rule is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Free {
    from: Timestamp,
}

/// The slot of a delivery that waits for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slot {
    attempt: u32,
    at: Timestamp,
}

/// An attempt that is not to go out before a time, and the row that keeps its slot.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) until: Timestamp,
    pub(crate) row: Option<Item>,
}

/// Who of this process asks for slots of which rule.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<Id, Arc<Asking>>>);

#[derive(Debug, Default)]
struct Asking {
    /// How many ask and have no slot taken for them yet.
    waiting: AtomicU32,
    /// Slots that were taken for them.
    taken: tokio::sync::Mutex<VecDeque<Timestamp>>,
}

impl Pace {
    fn rules(&self) -> MutexGuard<'_, HashMap<Id, Arc<Asking>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, rule: &Id) -> Arc<Asking> {
        let asking = Arc::clone(self.rules().entry(rule.clone()).or_default());
        asking.waiting.fetch_add(1, Ordering::Relaxed);
        asking
    }

    /// Forgets rules that nobody asks for.
    fn tidy(&self) {
        self.rules().retain(|_, asking| Arc::strong_count(asking) > 1);
    }
}

impl<B: Backend> Engine<B> {
    /// What an attempt has to wait for, if anything; `came_again` says that it may have a slot already.
    pub(crate) async fn pace(
        &self,
        rule: &Id,
        rate_per_second: u32,
        (delivery, attempt): (&DeliveryId, u32),
        came_again: bool,
    ) -> Result<Option<Wait>, Unavailable> {
        let key = keys::slot(delivery);
        if came_again && let Some(item) = self.get_one(key.clone()).await? {
            let slot: Slot = rows::read(&item.body)?;
            let now = self.now();
            if slot.attempt == attempt && slot.at > now - FORGOTTEN {
                return Ok((slot.at > now).then_some(Wait { until: slot.at, row: None }));
            }
        }
        let step = SignedDuration::from_nanos(1_000_000_000 / i64::from(rate_per_second.max(1)));
        let asking = self.pace.ask(rule);
        let slot = self.take_slot(rule, step, &asking).await;
        drop(asking);
        self.pace.tidy();
        let now = self.now();
        Ok(match slot? {
            None => Some(Wait { until: now + FARTHEST, row: None }),
            Some(at) if at <= now => None,
            Some(at) => {
                let row = Item { expires: Some(at + FORGOTTEN), ..rows::item(key, &Slot { attempt, at }) };
                Some(Wait { until: at, row: Some(row) })
            }
        })
    }

    /// One of the slots that are taken for all who ask now; `None` if the next free one is too far away.
    async fn take_slot(&self, rule: &Id, step: SignedDuration, asking: &Asking) -> Result<Option<Timestamp>, Unavailable> {
        let mut taken = asking.taken.lock().await;
        // Whoever a slot was taken for may be gone.
        taken.retain(|slot| *slot > self.now() - step);
        if taken.is_empty() {
            let count = asking.waiting.swap(0, Ordering::Relaxed).max(1);
            taken.extend(self.take_slots(rule, step, count).await?);
        }
        Ok(taken.pop_front())
    }

    async fn take_slots(&self, rule: &Id, step: SignedDuration, count: u32) -> Result<Vec<Timestamp>, Unavailable> {
        let key = keys::pace(rule);
        loop {
            let stands = self.get_one(key.clone()).await?;
            let free: Option<Free> = stands.as_ref().map(|item| rows::read(&item.body)).transpose()?;
            let now = self.now();
            let first = free.map_or(now, |free| free.from.max(now));
            if first > now + FARTHEST {
                return Ok(Vec::new());
            }
            let slots: Vec<Timestamp> = (0..count).scan(first, |next, _| Some(std::mem::replace(next, *next + step))).collect();
            let from = slots.last().map_or(first, |last| *last + step);
            let item = Item { expires: Some(from + FORGOTTEN), ..rows::item(key.clone(), &Free { from }) };
            if self.swap_one(Swap { key: key.clone(), expect: stands.map(|item| item.rev), new: Some(item) }).await.is_done()? {
                return Ok(slots);
            }
        }
    }
}
