//! Giving a claim back: an attempt of which no byte can have left is not charged.
//!
//! An attempt is counted before it is sent (L1). Where sending fails for a fault of this machine while the receiver's name is looked up
//! or the connection is made, it is certain that the receiver got nothing. Then the claim is given back by a compare-and-set of the
//! line, and the delivery waits. A crash before that leaves the attempt counted. A claim that another hand-out shares
//! ([`Decision::Mine`](super::Decision::Mine)) is never given back: that hand-out may have sent.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Claim, Line, PARKED, Present};
use crate::{delivery::DeliveryId, hash};

/// The wait after the first claim that was given back, in milliseconds; each further one is twice as long.
const FIRST_WAIT_MS: u64 = 2_000;
/// The longest of those waits, in milliseconds, jitter aside.
const LONGEST_WAIT_MS: u64 = 240_000;

/// Claims of one attempt that were given back one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returns {
    /// The attempt.
    pub attempt: u32,
    /// The number of its claims that were given back.
    pub times: u32,
}

/// A claim that its holder gives back.
#[derive(Debug, Clone, Copy)]
pub struct Return<'a> {
    /// The delivery.
    pub id: &'a DeliveryId,
    /// The attempt that was claimed.
    pub attempt: u32,
    /// The attempts before its present budget (L1).
    pub base: u32,
    /// The token of the hand-out that claimed it.
    pub token: &'a str,
    /// The present.
    pub present: Present,
}

/// A line without a claim that was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenBack {
    /// The line to write.
    pub line: Line,
    /// The time at which the delivery asks again.
    pub until: Timestamp,
    /// The number of claims of this attempt that were given back by now.
    pub times: u32,
}

impl Line {
    /// Takes a claim back of which no byte of the request can have left. While its first attempt is still to come, the delivery keeps
    /// its place before newer ones (P3).
    ///
    /// `None`: the line doesn't hold this claim any more, or another hand-out shares it. The attempt stays counted.
    pub fn give_back(&self, given: &Return<'_>) -> Option<GivenBack> {
        let mut line = self.clone();
        let entry = line.entries.iter_mut().find(|entry| entry.id == *given.id)?;
        if entry.attempts != given.attempt || entry.base != given.base || given.attempt == 0 {
            return None;
        }
        let claim = entry.claim.take_if(|claim| claim.token == given.token && claim.run == given.present.run && !claim.shared)?;
        let before = entry.returns.filter(|returns| returns.attempt == given.attempt).map_or(0, |returns| returns.times);
        let times = before.saturating_add(1);
        let until = given.present.now + wait(given.id, times);
        entry.attempts -= 1;
        entry.returns = Some(Returns { attempt: given.attempt, times });
        if entry.attempts == 0 {
            entry.parked_until = Some(until + PARKED);
        } else {
            // The attempts before it were claimed: for newer and older ones this stays a delivery that was.
            // No record of them is on its way because of this claim.
            let ended = given.present.now - given.present.recording;
            entry.claim = Some(Claim { lease_until: claim.lease_until.min(ended), ..claim });
        }
        Some(GivenBack { line, until, times })
    }
}

/// The wait before a delivery asks again, give or take up to a quarter of it.
fn wait(id: &DeliveryId, times: u32) -> SignedDuration {
    let plain = (FIRST_WAIT_MS << times.saturating_sub(1).min(16)).min(LONGEST_WAIT_MS);
    let wait = hash::jitter(&["given back", id.as_str(), &times.to_string()], plain, plain / 4);
    SignedDuration::from_millis(i64::try_from(wait).unwrap_or(i64::MAX))
}
