//! The machine's clock, read only here.

use jiff::Timestamp;

/// Returns the time now.
#[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
