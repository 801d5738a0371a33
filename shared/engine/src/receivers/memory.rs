//! The receivers as a process remembers them, and the attempts that it has counted since it last wrote their rows.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    id::Id,
    receiver::{Counts, Health, ReceiverState, Sign, release_count},
};

use super::{ReceiverAttempt, row::ReceiverRow};

/// The time for which a row that was read counts where several processes share the store.
const LIFETIME: SignedDuration = SignedDuration::from_secs(2);
/// The least time between two writes of counts that change no state.
const WRITE_INTERVAL: SignedDuration = SignedDuration::from_secs(10);
/// The time of a fast answer, and the fast answers in a row that end a suspicion.
const FAST: SignedDuration = SignedDuration::from_secs(1);
const FAST_IN_A_ROW: u8 = 2;
/// The most receivers that a process remembers; then it begins again.
const MAX_RECEIVERS: usize = 10_000;

/// One receiver.
#[derive(Debug, Default)]
struct Known {
    /// The time of reading; none if the row was not read.
    read_at: Option<Timestamp>,
    row: Option<Arc<ReceiverRow>>,
    counts: Counts,
    written_at: Option<Timestamp>,
    /// The approximate number of deliveries that this process let go and that have no answer yet.
    under_way: u32,
    released_at: Option<Timestamp>,
    /// Answers within a second in a row.
    fast: u8,
    /// One caller of this process lets deliveries go at a time.
    gate: Arc<tokio::sync::Mutex<()>>,
}

/// The consequence of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToDo {
    Nothing,
    /// These counts are written.
    Write(Counts),
    /// The state may change.
    Change,
    /// So many deliveries are let go.
    Release(usize),
    /// A suspect has answered fast again.
    Trust,
}

/// A row as a process remembers it.
pub(super) enum Recalled {
    /// The row, or that there is none.
    Row(Option<Arc<ReceiverRow>>),
    /// It is to be read.
    Nothing,
}

/// The receivers that a process knows.
#[derive(Debug)]
pub(crate) struct Memory {
    is_shared: bool,
    known: Mutex<HashMap<Id, Known>>,
}

impl Memory {
    /// An empty memory. `is_shared`: other processes change rows too.
    pub(super) fn new(is_shared: bool) -> Self {
        Self { is_shared, known: Mutex::default() }
    }

    /// Returns true if other processes change rows too.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The row of a receiver, as far as it is known.
    pub(super) fn recall(&self, id: &Id, now: Timestamp) -> Recalled {
        let known = self.lock();
        let Some(one) = known.get(id) else { return Recalled::Nothing };
        let is_fresh = one.read_at.is_some_and(|read_at| !self.is_shared || read_at + LIFETIME > now);
        if is_fresh { Recalled::Row(one.row.clone()) } else { Recalled::Nothing }
    }

    /// The state of a receiver, as far as it is known.
    pub(super) fn state(&self, id: &Id) -> Option<ReceiverState> {
        self.lock().get(id)?.row.as_ref().map(|row| row.health.state)
    }

    /// Remembers a row as it was just read or written.
    pub(super) fn remember(&self, id: &Id, row: Option<Arc<ReceiverRow>>, now: Timestamp) {
        let mut known = self.lock();
        let one = one(&mut known, id);
        // A read that is overtaken by a write is older.
        let generation = |row: &Option<Arc<ReceiverRow>>| row.as_ref().map(|row| row.health.generation);
        if generation(&one.row) <= generation(&row) || one.read_at.is_none_or(|at| at + LIFETIME <= now) {
            (one.row, one.read_at) = (row, Some(now));
        }
    }

    /// Counts an attempt. Returns its consequence.
    pub(super) fn hear(&self, heard: &ReceiverAttempt, now: Timestamp) -> ToDo {
        let ReceiverAttempt { receiver, delivery, began, sign } = heard;
        let mut known = self.lock();
        let one = one(&mut known, &receiver.id);
        one.fast = if *sign == Sign::Response && now < *began + FAST { one.fast.saturating_add(1) } else { 0 };
        let Some(row) = one.row.clone().filter(|row| row.health.is_out()) else { return one.count(sign, now) };
        one.under_way = one.under_way.saturating_sub(1);
        if row.health.clone().hear(sign, (delivery, *began), now) {
            return ToDo::Change;
        }
        let releases = row.health.state == ReceiverState::HalfOpen && *began >= row.health.since && *sign == Sign::Response;
        if releases { ToDo::Release(release_count(one.under_way)) } else { ToDo::Nothing }
    }

    /// Notes that so many deliveries were let go.
    pub(super) fn note_released(&self, id: &Id, number: usize, now: Timestamp) {
        let mut known = self.lock();
        let one = one(&mut known, id);
        one.under_way = one.under_way.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
        one.released_at = Some(now);
    }

    /// Returns true if this process has let no delivery go since then. Earlier ones count as lost.
    pub(super) fn has_released_none_since(&self, id: &Id, since: Timestamp) -> bool {
        let mut known = self.lock();
        let one = one(&mut known, id);
        let is_long_ago = one.released_at.is_none_or(|at| at <= since);
        if is_long_ago {
            one.under_way = 0;
        }
        is_long_ago
    }

    /// The gate of callers that let deliveries go.
    pub(super) fn gate(&self, id: &Id) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&one(&mut self.lock(), id).gate)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a receiver. Where too many are known, all are forgotten.
fn one<'k>(known: &'k mut HashMap<Id, Known>, id: &Id) -> &'k mut Known {
    if known.len() >= MAX_RECEIVERS && !known.contains_key(id) {
        known.clear();
    }
    known.entry(id.clone()).or_default()
}

impl Known {
    /// Counts an attempt of a receiver that is sent to. Counts are written while something is bad, and at once if they open the breaker.
    fn count(&mut self, sign: &Sign, now: Timestamp) -> ToDo {
        self.counts.add(sign, now);
        if self.fast >= FAST_IN_A_ROW && self.row.as_ref().is_some_and(|row| row.health.state == ReceiverState::Suspect) {
            return ToDo::Trust;
        }
        let health = self.row.as_ref().map(|row| &row.health);
        let rests = self.written_at.is_none_or(|at| now >= at + WRITE_INTERVAL);
        let is_due = match sign {
            Sign::Failure(_) | Sign::Refusal(_) => {
                rests || health.cloned().unwrap_or_else(|| Health::new(now)).would_open(&self.counts, now)
            }
            Sign::Response => health.is_some_and(|health| {
                let row_of_failures = health.failures_in_a_row();
                row_of_failures > 1 || rests && (row_of_failures > 0 || health.has_failed_lately(now))
            }),
        };
        if !is_due {
            return ToDo::Nothing;
        }
        self.written_at = Some(now);
        ToDo::Write(mem::take(&mut self.counts))
    }
}
