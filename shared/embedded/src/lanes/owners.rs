//! A limit for each owner: groups of an owner that has enough messages out are parked without a turn.
//!
//! **While an owner has room, each of its parked groups is certain to get a turn**: each message that comes back gives one of them its
//! turn, and each turn that leaves room gives the next one its turn.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// The messages that an owner has out, and its groups that wait for room.
#[derive(Default)]
struct OwnerState {
    out: usize,
    parked: VecDeque<(usize, Arc<str>)>,
}

/// The owners that have something out.
#[derive(Default)]
pub(super) struct Owners(HashMap<Box<str>, OwnerState>);

/// Returns the owner that a group's name begins with, if any.
pub(super) fn owner(group: &str) -> Option<&str> {
    group.split_once('/').map(|(owner, _)| owner)
}

impl Owners {
    /// Returns true if the group's owner may have one more out.
    pub(super) fn has_room(&self, group: &str, per_owner: usize) -> bool {
        let out = owner(group).and_then(|owner| self.0.get(owner)).map_or(0, |state| state.out);
        out < per_owner.max(1)
    }

    /// Notes that a message of this group is handed out.
    pub(super) fn hands_out(&mut self, group: &str) {
        if let Some(owner) = owner(group) {
            self.0.entry(owner.into()).or_default().out += 1;
        }
    }

    /// Notes that a message of this group is no longer out.
    pub(super) fn comes_back(&mut self, group: &str) {
        if let Some(state) = owner(group).and_then(|owner| self.0.get_mut(owner)) {
            state.out -= 1;
        }
    }

    /// Parks a group until its owner has room.
    pub(super) fn park(&mut self, lane: usize, group: &Arc<str>) {
        if let Some(owner) = owner(group) {
            self.0.entry(owner.into()).or_default().parked.push_back((lane, Arc::clone(group)));
        }
    }

    /// Takes the group of the same owner that has waited longest, and its lane.
    pub(super) fn unpark(&mut self, group: &str) -> Option<(usize, Arc<str>)> {
        let owner = owner(group)?;
        let state = self.0.get_mut(owner)?;
        let next = state.parked.pop_front();
        if state.out == 0 && state.parked.is_empty() {
            self.0.remove(owner);
        }
        next
    }
}
