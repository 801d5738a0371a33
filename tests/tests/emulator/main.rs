//! Each function's real binary on AWS's own emulator of the Lambda runtime, with an AWS in one process behind it: it starts, it works
//! events, it outlives bad ones, and a record that makes it panic harms no other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod events;
mod functions;
mod panics;
mod rie;
mod system;

use tracking_tests::receiver::{Answer, Receiver};

/// What receivers say when all is well.
const OK: Answer = Answer::says(200, "ok");

/// What was asked of a receiver, in order.
fn targets(receiver: &Receiver) -> Vec<String> {
    receiver.heard().into_iter().map(|postback| postback.target).collect()
}

/// What was asked of a receiver, in the order of the alphabet.
fn sorted(receiver: &Receiver) -> Vec<String> {
    let mut targets = targets(receiver);
    targets.sort_unstable();
    targets
}
