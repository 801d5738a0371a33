//! Each function's real binary on AWS's own emulator of the Lambda runtime, with an AWS in one process behind it. It starts, works events
//! and survives invalid ones, and a record that makes it panic affects no other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod events;
mod functions;
mod panics;
mod rie;
mod system;

use tracking_tests::receiver::{OK, sorted, targets};
