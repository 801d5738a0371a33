//! The groups of one lane, and their turns.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// A message's place in its group: ordered by time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) visible_at: i64,
    pub(super) id: i64,
}

impl Place {
    /// The place before every message.
    pub(super) const FIRST: Self = Self { visible_at: i64::MIN, id: 0 };

    /// Returns the place behind every message of this time.
    pub(super) fn end_of(visible_at: i64) -> Self {
        Self { visible_at, id: i64::MAX }
    }

    /// Returns the place right before this one.
    pub(super) fn before(self) -> Self {
        Self { id: self.id - 1, ..self }
    }
}

/// Messages that share one turn.
#[derive(Default)]
pub(super) struct Group {
    /// The messages in memory, in order.
    pub(super) ready: VecDeque<(Place, String)>,
    /// The mark behind which messages that are due may lie on disk.
    pub(super) spilled: Option<Place>,
    /// The number of messages that are handed out.
    pub(super) out: usize,
    queued: bool,
    /// `true` while the group waits for room of its owner.
    pub(super) parked: bool,
}

impl Group {
    /// Inserts a message at its place, nearly always the last.
    pub(super) fn insert(&mut self, place: Place, body: String) {
        let at = self.ready.partition_point(|(other, _)| *other < place);
        self.ready.insert(at, (place, body));
    }

    /// Returns the mark of spilled messages if one of them may come before the messages in memory.
    pub(super) fn must_load(&self) -> Option<Place> {
        self.spilled.filter(|spilled| self.ready.front().is_none_or(|(first, _)| spilled < first))
    }

    fn has_some(&self) -> bool {
        !self.ready.is_empty() || self.spilled.is_some()
    }
}

/// One lane.
#[derive(Default)]
pub(super) struct LaneState {
    groups: HashMap<Arc<str>, Group>,
    turns: VecDeque<Arc<str>>,
    /// The number of the lane's messages, in memory and on disk.
    pub(super) total: usize,
    /// The number of messages that are handed out.
    pub(super) out: usize,
}

impl LaneState {
    /// Returns the group of this name, with its shared name; makes the group if there is none.
    pub(super) fn group(&mut self, name: String) -> (Arc<str>, &mut Group) {
        let name = self.groups.get_key_value(name.as_str()).map_or_else(|| name.into(), |(name, _)| Arc::clone(name));
        let group = self.groups.entry(Arc::clone(&name)).or_default();
        (name, group)
    }

    /// Returns the group of this name; makes it if there is none.
    pub(super) fn group_mut(&mut self, name: &Arc<str>) -> &mut Group {
        self.groups.entry(Arc::clone(name)).or_default()
    }

    /// Queues a group that has messages for its turn, behind the others.
    pub(super) fn queue(&mut self, name: &Arc<str>) {
        if let Some(group) = self.groups.get_mut(name)
            && group.has_some()
            && !group.queued
            && !group.parked
        {
            group.queued = true;
            self.turns.push_back(Arc::clone(name));
        }
    }

    /// Takes the group that has the next turn.
    pub(super) fn next_turn(&mut self) -> Option<Arc<str>> {
        let name = self.turns.pop_front()?;
        self.group_mut(&name).queued = false;
        Some(name)
    }

    /// Returns true if a group waits for its turn.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Forgets a group without messages, none of which is out.
    pub(super) fn forget_if_empty(&mut self, name: &Arc<str>) {
        if self.groups.get(name).is_some_and(|group| group.out == 0 && !group.queued && !group.parked && !group.has_some()) {
            self.groups.remove(name);
        }
    }
}
