//! One lane's groups, and their turns.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// A message's place in its group: earliest first, then as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) visible_at: i64,
    pub(super) id: i64,
}

impl Place {
    /// Before every message.
    pub(super) const FIRST: Self = Self { visible_at: i64::MIN, id: 0 };

    /// Behind every message of this time.
    pub(super) fn end_of(visible_at: i64) -> Self {
        Self { visible_at, id: i64::MAX }
    }

    /// The place right before.
    pub(super) fn before(self) -> Self {
        Self { id: self.id - 1, ..self }
    }
}

/// Messages that share one turn.
#[derive(Default)]
pub(super) struct Group {
    /// What is in memory, in order.
    pub(super) ready: VecDeque<(Place, String)>,
    /// Messages that are due may lie on disk behind this place.
    pub(super) spilled: Option<Place>,
    /// How many are handed out.
    pub(super) out: usize,
    queued: bool,
    /// `true` while it waits until its owner may have more out.
    pub(super) parked: bool,
}

impl Group {
    /// Puts a message in its place, nearly always the last.
    pub(super) fn insert(&mut self, place: Place, body: String) {
        let at = self.ready.partition_point(|(other, _)| *other < place);
        self.ready.insert(at, (place, body));
    }

    /// Whether something on disk may come before what is in memory.
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
    /// All its messages, wherever they are.
    pub(super) total: usize,
    /// How many are handed out.
    pub(super) out: usize,
}

impl LaneState {
    /// The group of this name with the name as everybody shares it, made if need be.
    pub(super) fn group(&mut self, name: String) -> (Arc<str>, &mut Group) {
        let name = self.groups.get_key_value(name.as_str()).map_or_else(|| name.into(), |(name, _)| Arc::clone(name));
        let group = self.groups.entry(Arc::clone(&name)).or_default();
        (name, group)
    }

    /// The group of this name, made if need be.
    pub(super) fn group_mut(&mut self, name: &Arc<str>) -> &mut Group {
        self.groups.entry(Arc::clone(name)).or_default()
    }

    /// Gives a group that has something its turn, behind the others.
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

    /// Whose turn it is.
    pub(super) fn next_turn(&mut self) -> Option<Arc<str>> {
        let name = self.turns.pop_front()?;
        self.group_mut(&name).queued = false;
        Some(name)
    }

    /// Whether any group waits for its turn.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Forgets a group that has nothing and of which nothing is out.
    pub(super) fn tidy(&mut self, name: &Arc<str>) {
        if self.groups.get(name).is_some_and(|group| group.out == 0 && !group.queued && !group.parked && !group.has_some()) {
            self.groups.remove(name);
        }
    }
}
