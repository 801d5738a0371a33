//! Giving a claim back: an attempt is not charged if no byte of it can have left.
//!
//! An attempt is counted before it is sent (L1). If a fault of this machine stops the sending while the receiver's name is looked up
//! or the connection is made, the receiver certainly got nothing. Then the claim is given back by a compare-and-set of the
//! queue, and the delivery waits. A crash before that leaves the attempt counted. A claim that two calls share
//! ([`Decision::Mine`](super::Decision::Mine)) is never given back: the other call may have sent.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Claim, PARKED, Present, SubjectQueue};
use crate::{delivery::DeliveryId, hash};

/// The wait after the first claim that was given back, in milliseconds; each further wait is twice as long.
const FIRST_WAIT_MS: u64 = 2_000;
/// The longest wait, in milliseconds, without jitter.
const LONGEST_WAIT_MS: u64 = 240_000;

/// The claims of one attempt that were given back one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returns {
    /// The attempt.
    pub attempt: u32,
    /// The number of claims that were given back.
    pub times: u32,
}

/// A claim that its holder gives back.
#[derive(Debug, Clone, Copy)]
pub struct Return<'a> {
    /// The delivery.
    pub id: &'a DeliveryId,
    /// The claimed attempt.
    pub attempt: u32,
    /// The attempts before its present budget (L1).
    pub base: u32,
    /// The receive id of the hand-out that claimed the attempt.
    pub receive_id: &'a str,
    /// The present.
    pub present: Present,
}

/// A queue after a claim was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenBack {
    /// The queue to write.
    pub queue: SubjectQueue,
    /// The time at which the delivery requests a claim again.
    pub until: Timestamp,
    /// The number of claims of this attempt that were given back so far.
    pub times: u32,
}

impl SubjectQueue {
    /// Gives a claim back for which no byte of the request can have left. Before its first attempt, the delivery keeps
    /// its place before newer ones (P3).
    ///
    /// `None` if the queue doesn't hold this claim any more, or two calls share it. The attempt stays counted.
    pub fn give_back(&self, given: &Return<'_>) -> Option<GivenBack> {
        let mut queue = self.clone();
        let entry = queue.entries.iter_mut().find(|entry| entry.id == *given.id)?;
        if entry.attempts != given.attempt || entry.base != given.base || given.attempt == 0 {
            return None;
        }
        let claim = entry.claim.take_if(|claim| {
            claim.receive_id == given.receive_id && claim.incarnation == given.present.incarnation && !claim.shared
        })?;
        let before = entry.returns.filter(|returns| returns.attempt == given.attempt).map_or(0, |returns| returns.times);
        let times = before.saturating_add(1);
        let until = given.present.now + wait(given.id, times);
        entry.attempts -= 1;
        entry.returns = Some(Returns { attempt: given.attempt, times });
        if entry.attempts == 0 {
            entry.parked_until = Some(until + PARKED);
        } else {
            // Earlier attempts were claimed, so other deliveries still see a claimed delivery. Its lease has ended: no record
            // of an attempt is on its way.
            let ended = given.present.now - given.present.recording;
            entry.claim = Some(Claim { lease_until: claim.lease_until.min(ended), ..claim });
        }
        Some(GivenBack { queue, until, times })
    }
}

/// The wait before a delivery requests a claim again, with a jitter of up to a quarter.
fn wait(id: &DeliveryId, times: u32) -> SignedDuration {
    let plain = (FIRST_WAIT_MS << times.saturating_sub(1).min(16)).min(LONGEST_WAIT_MS);
    let wait = hash::jitter(&["given back", id.as_str(), &times.to_string()], plain, plain / 4);
    SignedDuration::from_millis(i64::try_from(wait).unwrap_or(i64::MAX))
}
