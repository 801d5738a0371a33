//! What callers say to the lanes and hear of them.

use jiff::Timestamp;
use tracking_engine::backend::{Lane, Received};

/// How many messages may be out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one group (P5); at least 1.
    pub per_group: usize,
    /// Of all groups of one owner; at least 1. What doesn't fit waits without holding up other owners'.
    pub per_owner: usize,
    /// In all. The last quarter is kept for fresh messages: the retry lane never takes it, so that what waits doesn't stall what
    /// is new.
    pub total: usize,
    /// Of one group while nothing of it was settled in time; at least 1.
    pub unproven: usize,
    /// Of one group that is slow; at least 1.
    pub slow_per_group: usize,
    /// Of all groups that are slow, beside the total; 0: there are no slow slots, and all groups count alike.
    pub slow_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_group: 64, per_owner: 128, total: 1_024, unproven: usize::MAX, slow_per_group: 16, slow_total: 0 }
    }
}

impl Limits {
    /// How many messages of a lane may be out.
    pub(super) fn of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Events | Lane::Delivery => self.total,
            Lane::Retry => (self.total - self.total / 4).max(1),
        }
    }
}

/// What [`Store::receive`](crate::Store::receive) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// What is handed out, of any lane.
    pub messages: Vec<Received>,
    /// When to ask again, if nothing changes until then.
    pub next_due: Option<Timestamp>,
}

/// How many messages one lane holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneDepth {
    /// Due, and not handed out.
    pub ready: usize,
    /// Due later.
    pub waiting: usize,
    /// Handed out.
    pub in_flight: usize,
}

/// How many messages the lanes hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Changes that wait to be matched.
    pub events: LaneDepth,
    /// First tries.
    pub delivery: LaneDepth,
    /// Whatever waits.
    pub retry: LaneDepth,
    /// How many of the ready ones have their body in memory.
    pub in_memory: usize,
}
