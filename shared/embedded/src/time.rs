//! Times as the file keeps them: whole microseconds since 1970, so that a person can read them and an index can order them.

use jiff::Timestamp;

/// For a time before which something must not happen: rounded up.
pub(crate) fn up(at: Timestamp) -> i64 {
    at.as_microsecond() + i64::from(at.subsec_nanosecond() % 1_000 > 0)
}

/// For what the clock says: rounded down.
pub(crate) fn down(at: Timestamp) -> i64 {
    at.as_microsecond() - i64::from(at.subsec_nanosecond() % 1_000 < 0)
}

/// Back again. A number that no time has, written by somebody else's hand, is the end of time.
pub(crate) fn read(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::MAX)
}
