//! Times of events, which may be the last ones there are.

use jiff::{SignedDuration, Timestamp};

/// A time that much later, or the last there is.
pub(crate) fn later(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}
