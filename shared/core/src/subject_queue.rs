//! Claims: the right to send the next attempt of a delivery (P2, P3, L1).
//!
//! A subject queue holds the deliveries of one rule about one subject. It stores the newest version whose first
//! attempt was claimed (its head) and the deliveries that still matter: those of the head's version, and those that wait behind
//! another. A claim is a pure decision over the queue and the log, followed by a compare-and-set of the queue. An attempt is
//! counted at the claim, before it is sent: a crash spends it, so that there are never more than n + 1 requests (L1). The
//! outcome of an attempt is stored in the delivery's row, not here: a first-try success writes the queue once. A claim is given
//! back only if a fault of this machine certainly kept the request from leaving ([`SubjectQueue::give_back`]).
//!
//! A person's instruction, to send a delivery again or to stop it, is stored on the queue too. It is written by a compare-and-set of the
//! queue like a claim, so that it never overlaps a claim.

mod behind;
mod give_back;
mod position;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use behind::{MOST_BEHIND, WaitBehind};
pub use give_back::{GivenBack, Return, Returns};
pub use position::{Blocker, BlockerKind, Lease, Position};

use crate::{delivery::DeliveryId, event::Order};

/// The time for which a delivery that waits behind another stays known after its last poll (P3).
const PARKED: SignedDuration = SignedDuration::from_secs(60);
/// The poll interval of a delivery that waits behind another.
const POLL_INTERVAL: SignedDuration = SignedDuration::from_millis(1_500);
/// The time that a lease lasts beyond the request's timeout.
const LEASE_MARGIN: SignedDuration = SignedDuration::from_secs(15);
/// The time after which a missing record means that the record has expired, not that it was never written: open deliveries are worked
/// on every few days at least, and log rows live longer than this.
const RECORD_EXPIRED: SignedDuration = SignedDuration::from_hours(24 * 30);
/// The most deliveries that a queue stores.
const REMEMBERED: usize = 32;

/// The deliveries of one rule about one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectQueue {
    /// The newest version whose first attempt was claimed; 0 before any.
    pub head: u64,
    /// Deliveries of the head's version, and those that wait behind another.
    pub entries: Vec<Entry>,
}

/// One delivery on a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The delivery's id.
    pub id: DeliveryId,
    /// Its position in the order: conversion version, then created (0) before updated (1) (P3).
    pub order: Order,
    /// The attempts claimed so far.
    pub attempts: u32,
    /// The attempts claimed before its present budget (L1).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub base: u32,
    /// The last instruction of a person.
    #[serde(rename = "asked", default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<Instruction>,
    /// The claim of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The time until which it is known before its first attempt (P3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_until: Option<Timestamp>,
    /// The slot of its next attempt, if its rule has a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Timestamp>,
    /// The claims of its next attempt that were given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Returns>,
}

/// A person's instruction for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// Send it again, even after a newer one (L1). The instruction ends when an attempt of a newer one is claimed.
    Resend,
    /// Stop it.
    Stop,
}

/// A claim of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The receive id of the hand-out that made the claim: a repeated call with the same receive id keeps the claim.
    #[serde(rename = "token")]
    pub receive_id: String,
    /// The time after which the claim is void if nothing was recorded.
    pub lease_until: Timestamp,
    /// The incarnation of the process that holds it; claims of another incarnation are void at once.
    #[serde(rename = "run")]
    pub incarnation: u64,
    /// `true` once the same call was repeated: both calls may send, so the claim is never given back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The step whose request was claimed, in a rule with steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Box<str>>,
}

/// The present, as a process sees it.
#[derive(Debug, Clone, Copy)]
pub struct Present {
    /// The time.
    pub now: Timestamp,
    /// The incarnation of the process.
    pub incarnation: u64,
    /// The time after a lease during which the record of an attempt may still be on its way to the log.
    pub recording: SignedDuration,
}

/// A request for a claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest<'a> {
    /// The delivery.
    pub id: &'a DeliveryId,
    /// Its position in the order.
    pub order: Order,
    /// A delivery of the same change that goes first, if there is one.
    pub after: Option<&'a DeliveryId>,
    /// The receive id of this hand-out.
    pub receive_id: &'a str,
    /// The present.
    pub present: Present,
    /// The request's timeout, in seconds.
    pub timeout_seconds: u32,
    /// The step that sends the request, in a rule with steps.
    pub step: Option<&'a str>,
    /// The attempts of one budget: n + 1 (L1).
    pub max_attempts: u32,
}

/// The log's record of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The attempts with a recorded outcome.
    pub attempts: u32,
    /// The attempts made before its present budget (L1).
    pub base: u32,
    /// `true` if the delivery has ended.
    pub ended: bool,
    /// The time at which it is due again, if it waits.
    pub due: Option<Timestamp>,
    /// The time until which it keeps the queue for its next step, if the step follows at once (W4).
    pub keeps_until: Option<Timestamp>,
}

/// The answer to a [`ClaimRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write this queue with a compare-and-set, then send. The deliveries in `overtaken` waited for a retry and send nothing more (P3).
    Claim {
        /// The queue to write.
        queue: SubjectQueue,
        /// The number of the attempt; 1 is the first.
        attempt: u32,
        /// The attempts before its present budget (L1).
        base: u32,
        /// The time after which the claim is void.
        lease_until: Timestamp,
        /// Older deliveries that end superseded.
        overtaken: Vec<DeliveryId>,
    },
    /// This hand-out holds the claim already, and its lease lasts: send. If there is a queue, write it first, so that neither of the
    /// two calls gives the claim back.
    Mine {
        /// The queue to write.
        queue: Option<SubjectQueue>,
        /// The number of the attempt.
        attempt: u32,
        /// The attempts before its present budget (L1).
        base: u32,
        /// The time after which the claim is void.
        lease_until: Timestamp,
    },
    /// The delivery has ended; nothing to do.
    Ended,
    /// Wait. If there is a queue, write it first, so that the delivery is known (P3).
    Wait {
        /// The time of the next poll.
        until: Timestamp,
        /// The queue to write.
        queue: Option<SubjectQueue>,
    },
    /// No attempt is left. `cut_off`: the last one has no recorded outcome.
    Spent {
        /// The attempts that were claimed.
        attempts: u32,
        /// The attempts before its present budget (L1).
        base: u32,
        /// `true` if a crash cut the last one off; it may have arrived.
        cut_off: bool,
    },
    /// A newer delivery went first (P3).
    Superseded,
    /// A person stopped the delivery.
    Stopped {
        /// The attempts that were claimed.
        attempts: u32,
    },
}

impl SubjectQueue {
    /// Decides whether a delivery may send its next attempt. `recorded` looks a delivery up in the log.
    pub fn decide(&self, request: &ClaimRequest<'_>, recorded: &dyn Fn(&DeliveryId) -> Option<Recorded>) -> Decision {
        let own = self.entries.iter().find(|entry| entry.id == *request.id);
        let own_record = recorded(request.id);
        if own_record.as_ref().is_some_and(|record| record.ended) {
            return Decision::Ended;
        }
        // A hold may have handed over the same delivery with a newer state, which was claimed: the message of that claim works on it.
        if own.is_some_and(|entry| entry.order > request.order) {
            return Decision::Ended;
        }
        let attempts = own.map_or(0, |entry| entry.attempts).max(own_record.as_ref().map_or(0, |record| record.attempts));
        let base = own.map_or(0, |entry| entry.base).max(own_record.as_ref().map_or(0, |record| record.base));
        let instruction = own.and_then(|entry| entry.instruction);
        if instruction == Some(Instruction::Stop) {
            return Decision::Stopped { attempts };
        }
        if request.order.version < self.head && instruction != Some(Instruction::Resend) {
            return Decision::Superseded;
        }
        let unrecorded = attempts > own_record.as_ref().map_or(0, |record| record.attempts);
        if let Some(claim) = own.and_then(|entry| entry.claim.as_ref()).filter(|_| unrecorded) {
            if claim.is_live(request.present) && claim.receive_id == request.receive_id {
                let queue = (!claim.shared).then(|| self.with_shared_claim(request.id));
                return Decision::Mine { queue, attempt: attempts, base, lease_until: claim.lease_until };
            }
            // A record may still be on its way: until then the attempt does not count as cut off.
            if claim.keeps(request.present) {
                return Decision::Wait { until: claim.cut_off_at(request.present), queue: None };
            }
            // The row of an open delivery never expires.
            if own_record.is_none() && claim.lease_until + RECORD_EXPIRED < request.present.now {
                return Decision::Ended;
            }
        }
        if let Some(due) =
            own_record.and_then(|record| record.due).filter(|due| attempts > 0 && !unrecorded && *due > request.present.now)
        {
            return Decision::Wait { until: due, queue: None };
        }
        if attempts >= base + request.max_attempts {
            return Decision::Spent { attempts, base, cut_off: unrecorded };
        }
        if self.blocker(request, recorded).is_some() {
            return self.park(request, own);
        }
        self.claim(request, attempts, base, instruction)
    }

    /// The time until which an attempt of this delivery is being sent or recorded, if more attempts were claimed than the log has
    /// recorded.
    pub fn sending_until(&self, id: &DeliveryId, recorded: u32, present: Present) -> Option<Timestamp> {
        let claimed = self.entries.iter().find(|entry| entry.id == *id && entry.attempts > recorded);
        let claim = claimed.and_then(|entry| entry.claim.as_ref());
        claim.filter(|claim| claim.keeps(present)).map(|claim| claim.cut_off_at(present))
    }

    /// Returns true if this attempt is the delivery's last claimed one, in the same budget.
    pub fn holds(&self, id: &DeliveryId, attempt: u32, base: u32) -> bool {
        self.entries.iter().any(|entry| entry.id == *id && entry.attempts == attempt && entry.base == base)
    }

    /// The step for which the delivery's last attempt was claimed, and the number of claimed attempts without a record.
    pub fn lost(&self, id: &DeliveryId, recorded: u32) -> Option<(&str, u32)> {
        let entry = self.entries.iter().find(|entry| entry.id == *id && entry.attempts > recorded)?;
        Some((entry.claim.as_ref()?.step.as_deref()?, entry.attempts - recorded))
    }

    /// Returns true if a person stopped the delivery.
    pub fn is_stopped(&self, id: &DeliveryId) -> bool {
        self.entries.iter().any(|entry| entry.id == *id && entry.instruction == Some(Instruction::Stop))
    }

    /// The claimed deliveries that are newer than this one: of a later version, or updated after it was created (P3).
    pub fn newer_claimed(&self, order: Order) -> impl Iterator<Item = &DeliveryId> {
        self.entries.iter().filter(move |entry| entry.order > order && entry.claim.is_some()).map(|entry| &entry.id)
    }

    /// The slot of the delivery's next attempt, if it has one.
    pub fn slot(&self, id: &DeliveryId) -> Option<Timestamp> {
        self.entries.iter().find(|entry| entry.id == *id)?.slot
    }

    /// The queue while a delivery waits until `until` for this next attempt, with its slot if it has one: newer ones wait behind
    /// its first attempt (P3). `None` if the queue is full and does not store it.
    pub fn waiting(&self, request: &ClaimRequest<'_>, attempt: u32, until: Timestamp, slot: Option<Timestamp>) -> Option<Self> {
        let own = self.entries.iter().find(|entry| entry.id == *request.id);
        let mut queue = self.clone();
        queue.entries.retain(|entry| entry.id != *request.id && !entry.is_forgotten(request));
        if queue.is_full() {
            return None;
        }
        queue.entries.push(Entry {
            id: request.id.clone(),
            order: request.order,
            attempts: attempt.saturating_sub(1),
            base: own.map_or(0, |entry| entry.base),
            instruction: own.and_then(|entry| entry.instruction),
            claim: own.and_then(|entry| entry.claim.clone()),
            parked_until: (attempt == 1).then_some(until + PARKED),
            slot,
            returns: own.and_then(|entry| entry.returns),
        });
        Some(queue)
    }

    /// Returns true if the queue stores as many deliveries as it can.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= REMEMBERED
    }

    /// Stores a person's instruction for a delivery that is not being sent. Returns the queue to write and the attempts made so far.
    /// `recorded` returns the attempts that the log has of a delivery. `None` if the queue is full of deliveries that it must keep.
    pub fn instruct(
        &self,
        instruction: Instruction,
        id: &DeliveryId,
        order: Order,
        recorded: &dyn Fn(&DeliveryId) -> u32,
        now: Timestamp,
    ) -> Option<(Self, u32)> {
        let own = self.entries.iter().find(|entry| entry.id == *id);
        let attempts = own.map_or(0, |entry| entry.attempts).max(recorded(id));
        let base = match instruction {
            Instruction::Resend => attempts,
            Instruction::Stop => own.map_or(0, |entry| entry.base),
        };
        // A newer delivery still waits for it.
        let parked_until =
            own.filter(|_| attempts == 0 && instruction == Instruction::Resend).and_then(|entry| entry.parked_until);
        let mut queue = self.clone();
        queue.entries.retain(|entry| entry.id != *id);
        if queue.is_full() {
            let idle = queue.entries.iter().position(|entry| entry.is_idle(recorded(&entry.id), now))?;
            queue.entries.remove(idle);
        }
        queue.entries.push(Entry {
            id: id.clone(),
            order,
            attempts,
            base,
            instruction: Some(instruction),
            claim: None,
            parked_until,
            slot: None,
            returns: None,
        });
        Some((queue, attempts))
    }

    /// The queue with this delivery's claim marked as held by two calls.
    fn with_shared_claim(&self, id: &DeliveryId) -> Self {
        let mut queue = self.clone();
        let own = queue.entries.iter_mut().find(|entry| entry.id == *id);
        if let Some(claim) = own.and_then(|entry| entry.claim.as_mut()) {
            claim.shared = true;
        }
        queue
    }

    fn park(&self, request: &ClaimRequest<'_>, own: Option<&Entry>) -> Decision {
        // An earlier delivery that waits for a rate slot stays known until its next poll.
        let first =
            self.entries.iter().filter(|entry| entry.id != *request.id && entry.attempts == 0 && entry.order < request.order);
        let looks = first.filter_map(|entry| entry.parked_until).map(|known| known - PARKED);
        let free = looks.fold(request.present.now, Timestamp::max);
        let until = free + POLL_INTERVAL;
        let known =
            own.is_some_and(|entry| entry.attempts > 0 || entry.parked_until.is_some_and(|known| known > until + POLL_INTERVAL));
        if known {
            return Decision::Wait { until, queue: None };
        }
        Decision::Wait { until, queue: self.waiting(request, 1, free, None) }
    }

    fn claim(&self, request: &ClaimRequest<'_>, attempts: u32, base: u32, instruction: Option<Instruction>) -> Decision {
        let lease_until = request.present.now + SignedDuration::from_secs(i64::from(request.timeout_seconds)) + LEASE_MARGIN;
        let mut queue = self.clone();
        let own = queue.entries.iter().position(|entry| entry.id == *request.id).map(|at| queue.entries.remove(at));
        queue.entries.push(Entry {
            id: request.id.clone(),
            order: request.order,
            attempts: attempts + 1,
            base,
            instruction,
            claim: Some(Claim {
                receive_id: request.receive_id.to_owned(),
                lease_until,
                incarnation: request.present.incarnation,
                shared: false,
                step: request.step.map(Into::into),
            }),
            parked_until: None,
            slot: None,
            returns: own.and_then(|entry| entry.returns).filter(|returns| returns.attempt == attempts + 1),
        });
        queue.head = queue.head.max(request.order.version);
        // This includes deliveries that a person resent before.
        let (kept, older): (Vec<Entry>, Vec<Entry>) =
            queue.entries.into_iter().partition(|entry| entry.order.version >= request.order.version);
        queue.entries = kept;
        queue.entries.retain(|entry| !entry.is_forgotten(request));
        if queue.entries.len() > REMEMBERED {
            // Nothing else is under way, or this could not be claimed: the first entry was claimed or polled longest ago.
            queue.entries.remove(0);
        }
        let overtaken = older.into_iter().map(|entry| entry.id).collect();
        Decision::Claim { queue, attempt: attempts + 1, base, lease_until, overtaken }
    }
}

impl Entry {
    /// Returns true if it waited behind another and has not polled since: it is no longer known (P3).
    fn is_forgotten(&self, request: &ClaimRequest<'_>) -> bool {
        self.attempts == 0 && self.instruction.is_none() && self.parked_until.is_some_and(|until| until <= request.present.now)
    }

    /// Returns true if it may be dropped: no instruction, no attempt without a record, and no wait behind another.
    fn is_idle(&self, recorded: u32, now: Timestamp) -> bool {
        self.instruction.is_none() && self.attempts <= recorded && self.parked_until.is_none_or(|until| until <= now)
    }
}

impl Claim {
    /// The time from which its attempt counts as cut off if it has no record. A claim of another incarnation is void in any case.
    fn cut_off_at(&self, present: Present) -> Timestamp {
        if self.incarnation == present.incarnation { self.lease_until + present.recording } else { self.lease_until }
    }

    /// Returns true if its attempt, without a record, does not count as cut off yet.
    fn keeps(&self, present: Present) -> bool {
        self.incarnation == present.incarnation && self.cut_off_at(present) > present.now
    }

    fn is_live(&self, present: Present) -> bool {
        self.incarnation == present.incarnation && self.lease_until > present.now
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(attempts: &u32) -> bool {
    *attempts == 0
}

#[cfg(test)]
mod tests;
