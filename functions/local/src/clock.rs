//! The machine's clock, read here alone.

use jiff::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
