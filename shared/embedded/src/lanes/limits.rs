//! The limits that callers set for the lanes, and the results that they get.

use jiff::Timestamp;
use tracking_engine::backend::{Lane, Received};

/// Limits on the messages that are out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages of one group (P5); at least 1.
    pub per_group: usize,
    /// Messages of all groups of one owner; at least 1. More than these wait, and delay no other owner's.
    pub per_owner: usize,
    /// All messages. The retry lane never takes the last quarter, so that retries don't stall fresh messages.
    pub total: usize,
    /// Messages of one group of which none was deleted in time yet; at least 1.
    pub unproven: usize,
    /// Messages of one slow group; at least 1.
    pub slow_per_group: usize,
    /// Messages of all slow groups, beside the total; 0: there are no slow slots, and all groups count alike.
    pub slow_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_group: 64, per_owner: 128, total: 1_024, unproven: usize::MAX, slow_per_group: 16, slow_total: 0 }
    }
}

impl Limits {
    /// Returns the number of messages of a lane that may be out.
    pub(super) fn of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Events | Lane::Delivery => self.total,
            Lane::Retry => (self.total - self.total / 4).max(1),
        }
    }
}

/// The result of [`Store::receive`](crate::Store::receive).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// The messages handed out, of any lane.
    pub messages: Vec<Received>,
    /// The time of the next call, if nothing changes until then.
    pub next_due: Option<Timestamp>,
}

/// The number of messages of one lane, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneDepth {
    /// Messages that are due and not handed out.
    pub ready: usize,
    /// Messages that are due later.
    pub waiting: usize,
    /// Messages that are handed out.
    pub in_flight: usize,
}

/// The number of messages of all lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Changes that wait to be matched.
    pub events: LaneDepth,
    /// Messages of first tries.
    pub delivery: LaneDepth,
    /// Messages of everything later: retries and waits.
    pub retry: LaneDepth,
    /// The number of ready messages whose body is in memory.
    pub in_memory: usize,
}
