//! `rate_per_second` of a rule: each attempt takes the rule's next free slot, and one that has to wait for its slot is charged nothing.
//!
//! The next free slot is in the store, so that all processes keep one rate together. The deliveries of one process that ask at the same
//! time take their slots in one write. A waiting delivery has its slot on its subject queue, and finds it there in any process that
//! handles it next.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::id::Id;

use crate::{
    backend::{Backend, Item, StoreError, Swap},
    keys, random, rows,
    store::Store,
};

/// A slot further away than this is not given: the delivery asks again then.
const FARTHEST: SignedDuration = SignedDuration::from_mins(10);
/// The time after which a slot is missed.
const LATE: SignedDuration = SignedDuration::from_secs(3);
/// The tries to take a slot while other processes take theirs.
const TRIES: u32 = 6;
/// The pause before the second try. Each further pause is longer by as much.
const PAUSE: Duration = Duration::from_millis(7);
/// The range of the pause after which a delivery without a slot asks again.
const LATER: Range<SignedDuration> = SignedDuration::from_secs(2)..SignedDuration::from_secs(8);

/// The time at which an attempt may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendPermit {
    Now,
    /// At its slot.
    At(Timestamp),
    /// Not before this, and then it asks again.
    AskAgain(Timestamp),
}

/// The first free slot of a rule.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct NextSlot {
    pub(crate) from: Timestamp,
    /// The time at which the next attempt that missed its slot may go. It gets no slot of its own: it may be late again.
    pub(crate) late: Timestamp,
}

/// The callers of this process that ask for slots, by rule.
#[derive(Debug, Default)]
pub(crate) struct WaitingCallers(Mutex<HashMap<Id, Arc<RuleCallers>>>);

#[derive(Debug, Default)]
struct RuleCallers {
    /// The number of callers for whom no slot has been taken yet.
    waiting: AtomicU32,
    /// Slots that were taken for them.
    taken: tokio::sync::Mutex<VecDeque<Timestamp>>,
}

impl WaitingCallers {
    fn rules(&self) -> MutexGuard<'_, HashMap<Id, Arc<RuleCallers>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self, rule: &Id) -> Arc<RuleCallers> {
        Arc::clone(self.rules().entry(rule.clone()).or_default())
    }

    /// Forgets rules that nobody asks for.
    fn forget_idle_rules(&self) {
        self.rules().retain(|_, asking| Arc::strong_count(asking) > 1);
    }
}

/// Gives the slots of rules with a rate.
#[derive(Debug)]
pub(crate) struct RateLimiter<B> {
    store: Arc<Store<B>>,
    asking: WaitingCallers,
}

impl<B: Backend> RateLimiter<B> {
    /// The service over these.
    pub(crate) fn new(store: &Arc<Store<B>>) -> Self {
        Self { store: Arc::clone(store), asking: WaitingCallers::default() }
    }

    /// Decides when an attempt of a rule with this rate may go out; `given` is the slot that it got before, if any.
    pub(crate) async fn pace(&self, rule: &Id, rate_per_second: u32, given: Option<Timestamp>) -> Result<SendPermit, StoreError> {
        let now = self.store.now();
        if let Some(slot) = given.filter(|slot| *slot > now - LATE) {
            return Ok(if slot > now { SendPermit::At(slot) } else { SendPermit::Now });
        }
        let step = SignedDuration::from_nanos(1_000_000_000 / i64::from(rate_per_second.max(1)));
        let asking = self.asking.asking(rule);
        let permit = if given.is_some() {
            self.go_late(rule, step, &asking).await
        } else {
            asking.waiting.fetch_add(1, Ordering::Relaxed);
            self.take(rule, step, &asking).await
        };
        drop(asking);
        self.asking.forget_idle_rules();
        let now = self.store.now();
        permit.map(|permit| if matches!(permit, SendPermit::At(slot) if slot <= now) { SendPermit::Now } else { permit })
    }

    /// Lets an attempt go that missed its slot. Late attempts keep the rate among themselves, beside those in time.
    async fn go_late(&self, rule: &Id, step: SignedDuration, asking: &RuleCallers) -> Result<SendPermit, StoreError> {
        let _alone = asking.taken.lock().await;
        let refused = self.change(rule, |free, now| {
            if free.late > now { Err(SendPermit::AskAgain(later(free.late))) } else { Ok(NextSlot { late: now + step, ..free }) }
        });
        Ok(refused.await?.unwrap_or(SendPermit::Now))
    }

    /// Returns one of the slots that are taken for all callers that ask now.
    async fn take(&self, rule: &Id, step: SignedDuration, asking: &RuleCallers) -> Result<SendPermit, StoreError> {
        let mut taken = asking.taken.lock().await;
        // The caller for whom a slot was taken may be gone.
        taken.retain(|slot| *slot > self.store.now() - LATE);
        if let Some(slot) = taken.pop_front() {
            return Ok(SendPermit::At(slot));
        }
        let count = asking.waiting.swap(0, Ordering::Relaxed).max(1);
        let mut first = self.store.now();
        let refused = self.change(rule, |free, now| {
            first = free.from.max(now);
            let until = (0..count).fold(first, |until, _| until + step);
            if first > now + FARTHEST { Err(SendPermit::AskAgain(now + FARTHEST)) } else { Ok(NextSlot { from: until, ..free }) }
        });
        if let Some(permit) = refused.await? {
            return Ok(permit);
        }
        taken.extend((1..count).scan(first, |slot, _| {
            *slot += step;
            Some(*slot)
        }));
        Ok(SendPermit::At(first))
    }

    /// Changes the first free slot of a rule. Returns the permit with which `change` refused, if it did.
    async fn change(
        &self,
        rule: &Id,
        mut change: impl FnMut(NextSlot, Timestamp) -> Result<NextSlot, SendPermit>,
    ) -> Result<Option<SendPermit>, StoreError> {
        let key = keys::pace(rule);
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(PAUSE * tried).await;
            }
            let stored = self.store.get_one(key.clone()).await?;
            let free = stored.as_ref().and_then(|item| self.store.readable::<NextSlot>(item));
            let now = self.store.now();
            let free = match change(free.unwrap_or(NextSlot { from: now, late: now }), now) {
                Ok(free) => free,
                Err(permit) => return Ok(Some(permit)),
            };
            let item = Item { expires: Some(free.from.max(free.late) + FARTHEST), ..rows::item(key.clone(), &free) };
            if self
                .store
                .swap_one(Swap { key: key.clone(), expect: stored.map(|item| item.rev), new: Some(item) })
                .await
                .is_done()?
            {
                return Ok(None);
            }
        }
        Ok(Some(SendPermit::AskAgain(later(self.store.now()))))
    }
}

/// A time some seconds later, spread so that not all ask at once.
fn later(time: Timestamp) -> Timestamp {
    let share = i32::try_from(random() % 1_000).expect("less than a thousand");
    let within = (LATER.end - LATER.start) * share / 1_000;
    time + LATER.start + within
}
