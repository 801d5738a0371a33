//! AWS's limits, as types that can't exceed them: emulators don't check all of them, and AWS does.

use jiff::{SignedDuration, Timestamp};

/// Entries of one `SendMessageBatch`, `ChangeMessageVisibilityBatch` or `PutEvents`.
pub(crate) const ENTRIES: usize = 10;
/// Bytes of one `SendMessageBatch` and of any message in it.
pub(crate) const MESSAGES_BYTES: usize = 1 << 20;
/// Bytes of one `PutEvents`; the parts of an entry besides its detail count as [`ENTRY_OVERHEAD`].
pub(crate) const EVENTS_BYTES: usize = 256 << 10;
/// Bytes that an entry counts besides its body.
pub(crate) const ENTRY_OVERHEAD: usize = 256;
/// Items of one `BatchWriteItem`.
pub(crate) const WRITES: usize = 25;
/// Bytes of one `BatchWriteItem`, with room for names.
pub(crate) const WRITES_BYTES: usize = 15 << 20;
/// Keys of one `BatchGetItem`.
pub(crate) const KEYS: usize = 100;

/// The time before a new message is handed out: at most 15 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DelaySeconds(i32);

impl DelaySeconds {
    const LONGEST: i64 = 900;

    /// Returns the delay until a time. A time that is further away is cut to the longest delay: the message is early rather than lost.
    pub(crate) fn until(not_before: Option<Timestamp>, now: Timestamp) -> Self {
        Self(whole_seconds(not_before.unwrap_or(now).duration_since(now), Self::LONGEST))
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

/// The time for which a received message stays invisible: at most 12 hours from its receive. The receive is no longer ago than the queue's
/// own visibility, else the message would have been handed out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VisibilitySeconds(i32);

impl VisibilitySeconds {
    const LONGEST: i64 = 43_200 - 900;

    pub(crate) fn until(at: Timestamp, now: Timestamp) -> Self {
        Self(whole_seconds(at.duration_since(now), Self::LONGEST))
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

/// Rounds a duration up to whole seconds, from 0 to `longest`.
fn whole_seconds(duration: SignedDuration, longest: i64) -> i32 {
    let up = i64::from(duration.subsec_nanos() > 0);
    i32::try_from((duration.as_secs() + up).clamp(0, longest)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Timestamp {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        now + SignedDuration::from_secs_f64(seconds)
    }

    #[test]
    fn a_delay_is_between_nothing_and_fifteen_minutes() {
        let delay = |seconds| DelaySeconds::until(Some(at(seconds)), at(0.0)).get();
        assert_eq!(DelaySeconds::until(None, at(0.0)).get(), 0);
        assert_eq!([-5.0, 0.0, 0.001, 1.0, 899.5, 900.0, 901.0, 1e9].map(delay), [0, 0, 1, 1, 900, 900, 900, 900]);
    }

    #[test]
    fn a_visibility_ends_within_twelve_hours_of_the_receive() {
        let visibility = |seconds| VisibilitySeconds::until(at(seconds), at(0.0)).get();
        assert_eq!(
            [-5.0, 0.0, 3_600.0, 42_300.0, 42_301.0, 43_201.0, 1e9].map(visibility),
            [0, 0, 3_600, 42_300, 42_300, 42_300, 42_300]
        );
    }
}
