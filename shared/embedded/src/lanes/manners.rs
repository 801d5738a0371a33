//! The time that the messages of a group take. A group that answers slowly has slots of its own, so that a receiver that hangs takes no
//! slot that others need.
//!
//! A group of which no message was deleted in time is *unproven*, and has few messages out. A group that has a message out for three
//! seconds is *slow*: that message and all that follow count in the slow slots, until two in a row are deleted within a second.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// The time after which a message makes its group slow, in microseconds.
const SLOW_AFTER: i64 = 3_000_000;
/// The time within which a message of a slow group must be deleted to be in time, in microseconds.
const FAST_WITHIN: i64 = 1_000_000;
/// The number of messages in a row, deleted in time, that makes a slow group fast again.
const FAST_IN_A_ROW: u8 = 2;
/// The number of groups that are remembered; after that all are forgotten.
const MOST_GROUPS: usize = 10_000;

/// The speed of a group.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    is_proven: bool,
    is_slow: bool,
    fast: u8,
}

/// A message that is out: the time at which it is late, its id, and the number of its hand-out.
pub(super) type Watched = (i64, i64, u64);

/// The speed of all groups, and the messages that are out and not late yet.
#[derive(Debug, Default)]
pub(super) struct Manners {
    groups: HashMap<Arc<str>, Manner>,
    /// The messages of fast groups and of slow groups, each in the order of hand-out.
    watched: [VecDeque<Watched>; 2],
}

impl Manners {
    /// Returns true if the group's messages count in the slow slots.
    pub(super) fn is_slow(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|manner| manner.is_slow)
    }

    /// Returns true if a message of the group was deleted in time.
    pub(super) fn is_proven(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|manner| manner.is_proven)
    }

    /// Watches a message that is handed out.
    pub(super) fn watch(&mut self, is_slow: bool, now: i64, id: i64, hand_out: u64) {
        let late_at = now.saturating_add(if is_slow { FAST_WITHIN } else { SLOW_AFTER });
        self.watched[usize::from(is_slow)].push_back((late_at, id, hand_out));
    }

    /// Takes the next message that is late now. Forgets messages of which `is_out` is false.
    pub(super) fn next_late(&mut self, now: i64, is_out: impl Fn(&Watched) -> bool) -> Option<Watched> {
        self.forget(is_out);
        self.watched.iter_mut().find_map(|watched| watched.pop_front_if(|(late_at, ..)| *late_at <= now))
    }

    /// Returns the time at which the next message is late.
    pub(super) fn next_late_at(&mut self, is_out: impl Fn(&Watched) -> bool) -> Option<i64> {
        self.forget(is_out);
        self.watched.iter().filter_map(|watched| watched.front()).map(|(late_at, ..)| *late_at).min()
    }

    fn forget(&mut self, is_out: impl Fn(&Watched) -> bool) {
        for watched in &mut self.watched {
            while watched.pop_front_if(|one| !is_out(one)).is_some() {}
        }
    }

    /// Notes that a message of the group is late.
    pub(super) fn late(&mut self, group: &Arc<str>) {
        let manner = self.manner(group);
        (manner.is_slow, manner.fast) = (true, 0);
    }

    /// Notes that a message of the group was deleted in time.
    pub(super) fn in_time(&mut self, group: &Arc<str>) {
        let manner = self.manner(group);
        manner.is_proven = true;
        manner.fast = manner.fast.saturating_add(1);
        manner.is_slow &= manner.fast < FAST_IN_A_ROW;
    }

    fn manner(&mut self, group: &Arc<str>) -> &mut Manner {
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(group) {
            self.groups.clear();
        }
        self.groups.entry(Arc::clone(group)).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_a_group_is_slow_from_a_late_message_on_until_two_come_in_time() {
        let group: Arc<str> = "owner/group".into();
        let mut manners = Manners::default();
        assert!(!manners.is_slow(&group) && !manners.is_proven(&group));
        manners.in_time(&group);
        assert!(manners.is_proven(&group));
        manners.late(&group);
        assert!(manners.is_slow(&group) && manners.is_proven(&group));
        manners.in_time(&group);
        assert!(manners.is_slow(&group));
        manners.late(&group);
        manners.in_time(&group);
        assert!(manners.is_slow(&group), "two in a row");
        manners.in_time(&group);
        assert!(!manners.is_slow(&group));
    }

    #[test]
    fn p5_messages_are_late_after_three_seconds_and_those_of_slow_groups_after_one() {
        let mut manners = Manners::default();
        let out = |_: &Watched| true;
        manners.watch(false, 0, 1, 1);
        manners.watch(true, 500_000, 2, 2);
        assert_eq!(manners.next_late_at(out), Some(1_500_000));
        assert_eq!(manners.next_late(1_499_999, out), None);
        assert_eq!(manners.next_late(1_500_000, out), Some((1_500_000, 2, 2)));
        assert_eq!(manners.next_late_at(|(_, id, _)| *id != 1), None, "one that came back is watched no more");
        assert_eq!(manners.next_late(9_000_000, out), None);
    }
}
