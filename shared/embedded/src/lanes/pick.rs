//! Picking: the sweep finds the messages that fell due, then lanes take turns, and groups inside them.

use std::sync::Arc;

use jiff::Timestamp;
use tracking_engine::backend::{Receipt, Received, StoreError};

use super::{BYTES_IN_MEMORY, IN_MEMORY, Known, Lanes, Limits, NAMES, PER_GROUP, Picked, State, disk, group::Place};
use crate::{read::Readers, time};

/// The pause after a failed read of the file, in microseconds.
const AFTER_A_FAULT: i64 = 1_000_000;

impl Lanes {
    /// Hands out at most `max` messages that are due.
    pub(crate) fn pick(&mut self, readers: &Readers, now: Timestamp, limits: &Limits, max: usize) -> Picked {
        let now = time::down(now);
        let mut messages = Vec::new();
        let fault = self.set_clock(readers, now).and_then(|()| {
            self.move_late();
            self.take(readers, limits, max, &mut messages)
        });
        let fault = fault.err();
        if let Some(fault) = &fault {
            tracing::error!(error = %fault, "the queue can't be read");
        }
        let known = &self.known;
        let late = self.manners.next_late_at(|(_, id, n)| known.get(id).is_some_and(|known| known.is_out(*n)));
        let next = [self.next_waiting, self.deferred.first().map(|(at, _)| *at), late].into_iter().flatten().min();
        let next = if fault.is_some() { Some(now.saturating_add(AFTER_A_FAULT)) } else { next };
        Picked { messages, next_due: next.map(time::read) }
    }

    /// Moves time on (or back, if the clock was set), and finds the messages that fell due.
    fn set_clock(&mut self, readers: &Readers, now: i64) -> Result<(), StoreError> {
        if now < self.clock {
            self.swept = self.swept.min(Place::end_of(now));
            self.next_waiting = Some(i64::MIN);
        }
        self.clock = now;
        self.latest = self.latest.max(now);
        while let Some(&(at, id)) = self.deferred.first()
            && at <= now
        {
            self.deferred.pop_first();
            if let Some(known) = self.known.remove(&id) {
                self.spill(known.lane, &known.group, known.place.before());
            }
        }
        if self.next_waiting.is_none_or(|next| next > now) {
            self.swept = self.swept.max(Place::end_of(now));
            return Ok(());
        }
        let after = self.swept;
        let swept = readers.read(|connection| disk::sweep(connection, after, now))?;
        self.swept = self.swept.max(swept.up_to);
        self.next_waiting = swept.next;
        for (lane, group, place) in swept.due {
            if !self.known.contains_key(&place.id) {
                let (group, _) = self.each[lane].group(group);
                self.spill(lane, &group, place.before());
            }
        }
        Ok(())
    }

    /// Takes turns until `out` is full or the limits allow no more.
    fn take(&mut self, readers: &Readers, limits: &Limits, max: usize, out: &mut Vec<Received>) -> Result<(), StoreError> {
        // Groups that have to wait for a slow slot: they keep their turns.
        let mut put_back: Vec<(usize, Arc<str>)> = Vec::new();
        while out.len() < max && self.out < limits.total {
            let Some(lane) = self.next_lane(limits) else { break };
            let Some(group) = self.each[lane].next_turn() else { break };
            let is_slow = limits.slow_total > 0 && self.manners.is_slow(&group);
            if is_slow && self.slow_out >= limits.slow_total {
                put_back.push((lane, group));
                continue;
            }
            if self.each[lane].group_mut(&group).out >= self.most_of(&group, is_slow, limits) {
                self.unpark(&group);
                continue; // it is queued again when one of its messages comes back
            }
            if !is_slow && !self.owners.has_room(&group, limits.per_owner) {
                self.each[lane].group_mut(&group).parked = true;
                self.owners.park(lane, &group);
                continue; // it is queued again when one of its owner's messages comes back
            }
            if let Err(fault) = self.refill(readers, lane, &group) {
                self.each[lane].queue(&group);
                return Err(fault);
            }
            if let Some((place, body)) = self.each[lane].group_mut(&group).ready.pop_front() {
                let handed = self.hand_out(lane, &group, place, body, is_slow);
                if limits.slow_total > 0 {
                    self.manners.watch(is_slow, self.clock, place.id, self.hand_outs);
                }
                out.push(handed);
            }
            if self.owners.has_room(&group, limits.per_owner) {
                self.unpark(&group);
            }
            self.each[lane].queue(&group);
            self.each[lane].forget_if_empty(&group);
        }
        for (lane, group) in put_back {
            self.each[lane].queue(&group);
        }
        Ok(())
    }

    /// Returns the number of messages of a group that may be out.
    fn most_of(&self, group: &str, is_slow: bool, limits: &Limits) -> usize {
        let most = match (is_slow, self.manners.is_proven(group)) {
            (true, _) => limits.slow_per_group,
            (false, true) => limits.per_group,
            (false, false) => limits.unproven.min(limits.per_group),
        };
        most.max(1)
    }

    /// Returns the lane that has the next turn.
    fn next_lane(&mut self, limits: &Limits) -> Option<usize> {
        let may = |lane: &usize| self.each[*lane].has_turns() && self.each[*lane].out < limits.of(NAMES[*lane].1);
        let lane = (0..3).map(|step| (self.turn + step) % 3).find(may)?;
        self.turn = lane + 1;
        Some(lane)
    }

    /// Loads the messages that must come next from the disk: at least one, more while memory has room.
    fn refill(&mut self, readers: &Readers, lane: usize, group: &Arc<str>) -> Result<(), StoreError> {
        let state = self.each[lane].group_mut(group);
        let Some(after) = state.must_load() else { return Ok(()) };
        let room = if self.ready_bytes >= BYTES_IN_MEMORY { 0 } else { IN_MEMORY.saturating_sub(self.ready) };
        let want = PER_GROUP.saturating_sub(state.ready.len()).min(room).max(1);
        let known = &self.known;
        let loaded = readers.read(|connection| {
            let names = (NAMES[lane].0, &**group);
            disk::load(connection, names, after, self.latest, want, |id| known.contains_key(&id))
        })?;
        self.each[lane].group_mut(group).spilled = loaded.rest;
        for (place, body) in loaded.messages {
            self.keep(lane, group, place, body);
        }
        Ok(())
    }

    fn hand_out(&mut self, lane: usize, group: &Arc<str>, place: Place, body: String, is_slow: bool) -> Received {
        self.ready -= 1;
        self.ready_bytes -= body.len();
        self.each[lane].group_mut(group).out += 1;
        if is_slow {
            self.slow_out += 1;
        } else {
            self.out += 1;
            self.each[lane].out += 1;
            self.owners.hands_out(group);
        }
        self.hand_outs += 1;
        let (id, n) = (place.id, self.hand_outs);
        let state = State::Out(n);
        self.known.insert(id, Known { lane, group: Arc::clone(group), place, state, is_slow, is_late: false });
        let receive_id = format!("{}-{id}-{n}", self.incarnation);
        let receipt = Receipt { lane: NAMES[lane].1, handle: receive_id.clone() };
        Received { receipt, id: id.to_string(), redelivered: false, receive_id, body }
    }
}
