//! Arithmetic with times of events, which may be at the end of the range.

use jiff::{SignedDuration, Timestamp};

/// The time `time` after `at`, or the largest time.
pub(crate) fn later(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}
