//! The queue lanes: the choice of the next message to hand out.
//!
//! Every message is a row. Memory holds some of them, each in one state (*ready*, *out*, *acking*, *deferred*); for the rest it
//! holds only the marks from which to look:
//!
//! - **Every message that is due and not in memory lies behind its group's `spilled` mark.** A message gets there when its group has enough
//!   in memory, when it fell due, when it was deferred and is due again, or at the start, when memory is empty.
//! - **Every message that waits lies behind `swept`**, the place up to which the sweep has seen what fell due, and `next_waiting` is never
//!   later than the first of them.
//!
//! A reader may find rows on disk before they are noted here, right after their transaction; noting them then changes nothing. Lanes take
//! turns, and groups inside a lane: a group with a hundred thousand messages delays no other (P5). A group gets no turn while it, or its
//! owner, has as many messages out as the limits allow.

mod disk;
mod group;
mod limits;
mod manners;
mod owners;
mod pick;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use rusqlite::Connection;
use tracking_engine::backend::{Ack, Lane, Message, Receipt};

use group::{LaneState, Place};
pub use limits::{Depth, LaneDepth, Limits, Picked};
use manners::Manners;
use owners::Owners;

use crate::time;

/// Messages of one group that are kept in memory.
const PER_GROUP: usize = 256;
/// Messages of all groups that are kept in memory, and the bytes of their bodies.
const IN_MEMORY: usize = 8_192;
const BYTES_IN_MEMORY: usize = 16 << 20;
/// Deferred messages that memory remembers; more are deferred on disk.
const DEFERRED: usize = 20_000;

/// The names of the lanes in the file.
const NAMES: [(&str, Lane); 3] = [("events", Lane::Events), ("delivery", Lane::Delivery), ("retry", Lane::Retry)];

/// Returns the lane's name in the file.
pub(crate) fn name(lane: Lane) -> &'static str {
    NAMES[index(lane)].0
}

fn index(lane: Lane) -> usize {
    match lane {
        Lane::Events => 0,
        Lane::Delivery => 1,
        Lane::Retry => 2,
    }
}

fn by_name(text: &str) -> Option<usize> {
    NAMES.iter().position(|(name, _)| *name == text)
}

/// The part of a message that is in memory.
struct Known {
    lane: usize,
    group: Arc<str>,
    place: Place,
    state: State,
    /// `true` if the message is out and counts in the slow slots.
    is_slow: bool,
    /// `true` if the message is out and late.
    is_late: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The body is in memory.
    Ready,
    /// The message is out, by the n-th hand-out.
    Out(u64),
    /// The message is out, and the writer is about to delete or defer it: it can't be handed back any more.
    Acking(u64),
    /// The message was handed back until this time.
    Deferred(i64),
}

/// A valid receipt with the change to write: the row is deleted, or deferred to a time that may lie in the future.
#[derive(Clone, Copy)]
pub(crate) struct PendingAck {
    pub(crate) id: i64,
    pub(crate) defer_to: Option<DueTime>,
}

/// The time from which a message may be handed out, in microseconds, and whether that was in the future when it was written.
#[derive(Clone, Copy)]
pub(crate) struct DueTime {
    pub(crate) visible_at: i64,
    pub(crate) waiting: bool,
}

/// All lanes.
pub(crate) struct Lanes {
    incarnation: u64,
    /// The time of the last pick, and the latest time of all picks.
    clock: i64,
    latest: i64,
    swept: Place,
    next_waiting: Option<i64>,
    each: [LaneState; 3],
    turn: usize,
    known: HashMap<i64, Known>,
    deferred: BTreeSet<(i64, i64)>,
    ready: usize,
    ready_bytes: usize,
    out: usize,
    owners: Owners,
    manners: Manners,
    /// The number of messages that are out in the slow slots.
    slow_out: usize,
    hand_outs: u64,
}

impl Lanes {
    /// Loads the lanes of a file: memory is empty, so every group is spilled from its beginning.
    pub(crate) fn load(connection: &Connection, incarnation: u64) -> rusqlite::Result<Self> {
        let clock = disk::last_written(connection)?;
        let mut lanes = Self {
            incarnation,
            clock,
            latest: clock,
            swept: Place::FIRST,
            next_waiting: Some(i64::MIN),
            each: <[LaneState; 3]>::default(),
            turn: 0,
            known: HashMap::new(),
            deferred: BTreeSet::new(),
            ready: 0,
            ready_bytes: 0,
            out: 0,
            owners: Owners::default(),
            manners: Manners::default(),
            slow_out: 0,
            hand_outs: 0,
        };
        for (lane, count) in disk::totals(connection)? {
            lanes.each[lane].total = count;
        }
        disk::groups(connection, |lane, group| lanes.spill(lane, &group.into(), Place::FIRST))?;
        Ok(lanes)
    }

    /// Returns the time from which a message that is written now may be handed out. No time means at once. A past time counts as now, so
    /// that later messages queue behind.
    pub(crate) fn due(&self, not_before: Option<Timestamp>) -> DueTime {
        let asked = not_before.map_or(i64::MIN, time::up);
        DueTime { visible_at: asked.max(self.clock), waiting: asked > self.clock }
    }

    /// Notes a message that is on disk now.
    pub(crate) fn sent(&mut self, id: i64, due: DueTime, message: Message) {
        let lane = index(message.lane);
        self.each[lane].total += 1;
        if self.known.contains_key(&id) {
            return;
        }
        let place = Place { visible_at: due.visible_at, id };
        if self.still_waits(place, due) {
            return;
        }
        let full = self.ready >= IN_MEMORY || self.ready_bytes >= BYTES_IN_MEMORY;
        let (name, group) = self.each[lane].group(message.group);
        if full || group.spilled.is_some() || group.ready.len() >= PER_GROUP {
            self.spill(lane, &name, place.before());
        } else {
            self.keep(lane, &name, place, message.body);
        }
    }

    /// Accepts a receipt if it is the last one that was given for its message. The message is then marked until
    /// [`Self::ack_written`] or [`Self::ack_failed`] follows.
    pub(crate) fn accept_ack(&mut self, ack: &Ack) -> Option<PendingAck> {
        let (receipt, at) = match ack {
            Ack::Delete(receipt) => (receipt, None),
            Ack::Defer(receipt, at) => (receipt, Some(*at)),
        };
        let defer_to = at.map(|at| self.due(Some(at)));
        let (id, n) = parse(self.incarnation, receipt)?;
        let known = self.known.get_mut(&id).filter(|known| known.state == State::Out(n))?;
        known.state = State::Acking(n);
        Some(PendingAck { id, defer_to })
    }

    /// Notes that a message's row is deleted or deferred now.
    pub(crate) fn ack_written(&mut self, ack: PendingAck) {
        let Some(known) = self.known.remove(&ack.id) else { return };
        if ack.defer_to.is_none() && !known.is_late {
            self.manners.in_time(&known.group);
        }
        self.free(&known);
        match ack.defer_to {
            None => self.each[known.lane].total -= 1,
            Some(due) => {
                let place = Place { visible_at: due.visible_at, id: ack.id };
                if !self.still_waits(place, due) {
                    self.spill(known.lane, &known.group, place.before());
                }
            }
        }
        self.each[known.lane].forget_if_empty(&known.group);
    }

    /// Notes that the writing failed: the receipt is valid again.
    pub(crate) fn ack_failed(&mut self, ack: PendingAck) {
        if let Some(known) = self.known.get_mut(&ack.id)
            && let State::Acking(n) = known.state
        {
            known.state = State::Out(n);
        }
    }

    /// Hands a message back until `at`, in memory alone. Returns false if memory has too many of these: the message must be deferred on
    /// disk.
    pub(crate) fn hand_back(&mut self, receipt: &Receipt, at: Timestamp) -> bool {
        let Some((id, n)) = parse(self.incarnation, receipt) else { return true };
        let Some(known) = self.known.get_mut(&id).filter(|known| known.state == State::Out(n)) else { return true };
        if self.deferred.len() >= DEFERRED {
            return false;
        }
        let at = time::up(at);
        known.state = State::Deferred(at);
        let known = Known { lane: known.lane, group: Arc::clone(&known.group), ..*known };
        self.deferred.insert((at, id));
        self.free(&known);
        self.each[known.lane].forget_if_empty(&known.group);
        true
    }

    /// Returns the owner whom the group of a message that is out names.
    pub(crate) fn owner_of(&self, receipt: &Receipt) -> Option<Box<str>> {
        let (id, _) = parse(self.incarnation, receipt)?;
        owners::owner(&self.known.get(&id)?.group).map(Box::from)
    }

    /// Returns the number of messages by lane and state. Reads the rows that wait on disk.
    pub(crate) fn depth(&self, connection: &Connection) -> rusqlite::Result<Depth> {
        let mut waiting = disk::waiting(connection, self.clock)?;
        for (_, id) in &self.deferred {
            waiting[self.known[id].lane] += 1;
        }
        let depth = |lane: usize| {
            let LaneState { total, out, .. } = self.each[lane];
            LaneDepth { ready: total.saturating_sub(waiting[lane] + out), waiting: waiting[lane], in_flight: out }
        };
        Ok(Depth { events: depth(0), delivery: depth(1), retry: depth(2), in_memory: self.ready })
    }

    /// Notes the time at which a waiting message falls due. Returns false if the sweep has passed its place already.
    fn still_waits(&mut self, place: Place, due: DueTime) -> bool {
        let waits = due.waiting && place > self.swept;
        if waits {
            self.next_waiting = Some(self.next_waiting.map_or(place.visible_at, |next| next.min(place.visible_at)));
        }
        waits
    }

    /// Keeps a message in memory.
    fn keep(&mut self, lane: usize, group: &Arc<str>, place: Place, body: String) {
        self.ready += 1;
        self.ready_bytes += body.len();
        let (is_slow, is_late) = (false, false);
        self.known.insert(place.id, Known { lane, group: Arc::clone(group), place, state: State::Ready, is_slow, is_late });
        self.each[lane].group_mut(group).insert(place, body);
        self.each[lane].queue(group);
    }

    /// Marks that messages of a group lie on disk behind `after`.
    fn spill(&mut self, lane: usize, group: &Arc<str>, after: Place) {
        let state = self.each[lane].group_mut(group);
        state.spilled = Some(state.spilled.map_or(after, |spilled| spilled.min(after)));
        self.each[lane].queue(group);
    }

    /// Releases the slot of a message.
    fn free(&mut self, known: &Known) {
        self.each[known.lane].group_mut(&known.group).out -= 1;
        if known.is_slow {
            self.slow_out -= 1;
        } else {
            self.free_fast(known.lane, &known.group);
        }
        // Groups that wait for the owner's room come before the group that had it.
        self.unpark(&known.group);
        self.each[known.lane].queue(&known.group);
    }

    /// Releases a slot that is not slow.
    fn free_fast(&mut self, lane: usize, group: &Arc<str>) {
        self.out -= 1;
        self.each[lane].out -= 1;
        self.owners.comes_back(group);
    }

    /// Moves messages that are out for too long to the slow slots.
    fn move_late(&mut self) {
        while let Some((_, id, _)) = {
            let known = &self.known;
            self.manners.next_late(self.clock, |(_, id, n)| known.get(id).is_some_and(|known| known.is_out(*n)))
        } {
            let Some(known) = self.known.get_mut(&id) else { continue };
            known.is_late = true;
            let (lane, group, was_slow) = (known.lane, Arc::clone(&known.group), known.is_slow);
            known.is_slow = true;
            self.manners.late(&group);
            if !was_slow {
                self.slow_out += 1;
                self.free_fast(lane, &group);
                self.unpark(&group);
            }
            self.each[lane].queue(&group);
        }
    }

    /// Gives the turn to a group of the same owner that waits for room, if there is one.
    fn unpark(&mut self, group: &str) {
        if let Some((lane, name)) = self.owners.unpark(group) {
            self.each[lane].group_mut(&name).parked = false;
            self.each[lane].queue(&name);
            self.each[lane].forget_if_empty(&name);
        }
    }
}

impl Known {
    /// Returns true if the message is out by the n-th hand-out.
    fn is_out(&self, n: u64) -> bool {
        self.state == State::Out(n) || self.state == State::Acking(n)
    }
}

/// Parses a receipt's handle, which is also its receive id: incarnation, message id, hand-out. `None` for another incarnation.
fn parse(incarnation: u64, receipt: &Receipt) -> Option<(i64, u64)> {
    let (of, rest) = receipt.handle.split_once('-')?;
    let (id, n) = rest.split_once('-')?;
    if of.parse() == Ok(incarnation) { Some((id.parse().ok()?, n.parse().ok()?)) } else { None }
}
