//! Times as the file keeps them: whole microseconds since 1970, so that a person can read them and an index can order them.

use jiff::Timestamp;

/// Rounds up a time before which something must not happen.
pub(crate) fn up(at: Timestamp) -> i64 {
    at.as_microsecond() + i64::from(at.subsec_nanosecond() % 1_000 > 0)
}

/// Rounds down a time of the clock.
pub(crate) fn down(at: Timestamp) -> i64 {
    at.as_microsecond() - i64::from(at.subsec_nanosecond() % 1_000 < 0)
}

/// Converts microseconds to a time. A number out of range, written by hand, is the end of time.
pub(crate) fn read(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::MAX)
}
